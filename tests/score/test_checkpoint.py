from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.usages import same, usages

from gpuwise.model.hours import DEVICE_SIGNALS
from gpuwise.model.signal import Signal
from gpuwise.score import checkpoint
from gpuwise.score.checkpoint import UnreadableCheckpointError, decode, encode
from gpuwise.score.hours import hours_of
from gpuwise.score.settings import ScoreSettings

SETTINGS = ScoreSettings()
WRITTEN_BY = {version: Path(__file__).parent / f"hours-{version}.checkpoint" for version in (1,)}


@given(usages())
def test_a_checkpoint_is_decoded_bit_for_bit(series):
    hours = hours_of(series, SETTINGS)
    assert same(decode(encode(hours)), hours)


@given(usages(), st.data())
def test_a_truncated_checkpoint_is_an_error(series, data):
    whole = encode(hours_of(series, SETTINGS))
    at = data.draw(st.integers(0, len(whole) - 1))
    cut = whole[:at]
    with pytest.raises(UnreadableCheckpointError):
        decode(cut)


def test_an_unknown_version_is_an_error():
    with pytest.raises(UnreadableCheckpointError, match="gpuwise-hours/99"):
        decode(b"gpuwise-hours/99\n")


@pytest.mark.parametrize("version", WRITTEN_BY)
def test_every_version_ever_written_is_read(version):
    """Each file was written by the version in its name and is never written again."""
    hours = decode(WRITTEN_BY[version].read_bytes())
    assert hours.workload.name == "chat"
    assert (hours.end_hour - hours.first_hour, len(hours.devices)) == (30, 2)
    rows = next(iter(hours.devices.values())).rows
    assert rows["seen"][0, DEVICE_SIGNALS.index(Signal.SM_ACTIVITY)] == 12
    assert rows["peak"][0, DEVICE_SIGNALS.index(Signal.POWER)] == 330.0
    assert int(hours.counts[Signal.SM_ACTIVITY].sum()) == 2 * 360


def test_a_signal_added_later_has_no_samples(monkeypatch):
    """A checkpoint of a version with fewer signals, read by this version."""
    before = tuple(signal for signal in DEVICE_SIGNALS if signal is not Signal.TENSOR_ACTIVITY)
    now = decode(WRITTEN_BY[1].read_bytes())
    rows = next(iter(now.devices.values())).rows
    old = np.zeros(len(rows["seen"]), dtype=checkpoint.device_row(12, before))
    for name in old.dtype.names:
        columns = [DEVICE_SIGNALS.index(signal) for signal in before]
        old[name] = rows[name][:, columns] if name in checkpoint.PER_SIGNAL else rows[name]
    read = checkpoint.by_name(old, 12, before)
    tensor = DEVICE_SIGNALS.index(Signal.TENSOR_ACTIVITY)
    assert np.isnan(read["peak"][:, tensor]).all()
    assert (read["seen"][:, tensor] == 0).all()
    assert (
        read["peak"][:, DEVICE_SIGNALS.index(Signal.POWER)] == rows["peak"][:, DEVICE_SIGNALS.index(Signal.POWER)]
    ).all()
