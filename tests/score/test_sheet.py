"""The compiled kernels of the sheet against their specification, bit for bit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.usages import same, usages

from gpuwise.model.hours import DAY_H
from gpuwise.score import _sheet_c, _sheet_py
from gpuwise.score.hours import hours_of
from gpuwise.score.idle import ACTIVITY_BITS
from gpuwise.score.settings import ScoreSettings

KERNELS = (_sheet_c, _sheet_py)


@given(usages())
def test_both_summarise_the_rows_of_a_device_to_the_same_bits(series):
    for rows in hours_of(series, ScoreSettings()).devices.values():
        by_hour = {name: np.ascontiguousarray(column) for name, column in rows.rows.items()}
        for arranged in (rows.rows, by_hour):
            compiled, specified = (one.summarise(arranged, rows.first_hour, ACTIVITY_BITS, 4, 0) for one in KERNELS)
            assert same(compiled, specified)


@st.composite
def sheets(draw):
    """Arguments of `arrange`: up to six devices of up to three pods, with long and short idle runs."""
    per_hour = draw(st.sampled_from([1, 5, 12, 60, 64]))
    hours, first_hour = draw(st.integers(1, 3 * DAY_H)), draw(st.integers(0, 100))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    devices = []
    size = draw(st.integers(0, 6))
    for _ in range(size):
        start, end = sorted(rng.integers(0, hours * per_hour + 1, 2).tolist())
        first, last = start // per_hour, -(-end // per_hour)
        if end == start or rng.random() < 0.2:
            first = last = 0  # without samples
        idle = _bits(rng, last - first, per_hour)
        active, sampled = rng.integers(0, per_hour + 1, last - first).astype(np.uint16), rng.random(last - first) < 0.7
        pod, share = int(rng.integers(0, min(size, 3))), float(rng.random()) / per_hour
        devices.append(_sheet_py.Placed(first, idle, active, sampled, start, end, pod, share))
    silent = None
    if rng.random() < 0.5:
        first, last = sorted(rng.integers(0, hours + 1, 2).tolist())
        silent = first, _bits(rng, last - first, per_hour)
    return devices, silent, hours, per_hour, first_hour, draw(st.integers(1, 40))


def _bits(rng, hours, per_hour):
    """Bits of steps of which most hours are whole."""
    steps = rng.random((hours, per_hour)) < rng.choice([0.0, 0.5, 1.0], p=[0.3, 0.2, 0.5], size=(hours, 1))
    return np.packbits(steps, axis=1)


@given(sheets())
def test_both_arrange_devices_to_the_same_bits(given_):
    compiled, specified = (one.arrange(*given_) for one in KERNELS)
    assert same(compiled, specified)


@given(st.integers(0, 2**32), st.integers(0, 400), st.integers(1, 700), st.sampled_from([None, 2, 8]))
def test_both_add_up_hours_of_the_week_to_the_same_bits(seed, first_hour, hours, width):
    rng = np.random.default_rng(seed)
    idle, gpus = rng.choice([0, 57, 58, 60], hours), rng.choice([0.0, 0.3, 2.0], hours)
    asked, (start, end) = None, sorted(rng.integers(0, hours + 1, 2).tolist())
    if width is not None:
        asked = start, rng.choice([0.0, 0.1], (end - start, width))[:, 0]
    given_ = (idle, gpus, asked, np.exp2(-rng.random(hours)), first_hour, (start, end), 60, 0.95)
    assert same(*(one.by_hour_of_week(*given_) for one in KERNELS))


@given(st.integers(0, 2**32), st.sampled_from([None, np.uint16, np.int64]), st.booleans())
def test_both_add_the_samples_of_today_to_the_same_bits(seed, kind, counted):
    rng = np.random.default_rng(seed)
    today = rng.choice([0, 0, 3], (1, 64)).astype(np.uint32) if counted else None
    buckets = np.flatnonzero(rng.random(64) < 0.5)
    before = None if kind is None else (buckets.astype(kind), rng.choice([0.0, 0.1, 7.0], buckets.size))
    assert same(*(one.add_today(before, today, np.arange(64.0)) for one in KERNELS))


def test_the_compiled_kernel_refuses_a_bucket_that_does_not_exist():
    for bucket in (-1, 64):
        with pytest.raises(ValueError, match="bucket"):
            _sheet_c.add_today((np.array([bucket]), np.ones(1)), None, np.arange(64.0))


def test_more_than_a_word_of_devices_of_one_pod_can_be_busy_at_once():
    idle, hours = np.zeros((1, 8), dtype=np.uint8), np.zeros(1, dtype=np.uint16)
    busy = _sheet_py.Placed(0, idle, hours, np.ones(1, dtype=bool), 10, 20, 0, 0.01)
    assert [one.arrange([busy] * 300, None, 1, 60, 0, 1)[-1] for one in KERNELS] == [300, 300]


@pytest.mark.parametrize(
    "wrong",
    [
        {"hour": 1},
        {"end": 61},
        {"start": 30, "end": 20},
        {"pod": 1},
        {"idle": np.zeros((1, 7), dtype=np.uint8)},
        {"active": np.zeros(1)},
    ],
)
def test_the_compiled_kernel_refuses_what_would_be_outside_its_memory(wrong):
    whole = _sheet_py.Placed(
        0, np.zeros((1, 8), dtype=np.uint8), np.zeros(1, np.uint16), np.ones(1, dtype=bool), 0, 60, 0, 0.01
    )
    with pytest.raises(ValueError, match=r"sheet|expected|pod"):
        _sheet_c.arrange([whole._replace(**wrong)], None, 1, 60, 0, 1)
