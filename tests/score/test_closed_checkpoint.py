import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.usages import same, usages

from gpuwise.model.hours import DAY_H, HOUR_S
from gpuwise.score.checkpoint import UnreadableCheckpointError, encode
from gpuwise.score.closed import closed_days
from gpuwise.score.closed_checkpoint import decode_closed, encode_closed, is_closed_days
from gpuwise.score.hours import hours_of, select_days
from gpuwise.score.settings import ScoreSettings

SETTINGS = ScoreSettings()
HALF_LIFE_S = SETTINGS.half_life_s


def days_of(series):
    whole = hours_of(series, SETTINGS)
    return select_days(whole, whole.first_hour // DAY_H * DAY_H, whole.end_hour // DAY_H * DAY_H)


def decoded(blob, past, hours, **others):
    about = {"first_hour": hours.first_hour, "end_hour": hours.end_hour, "half_life_s": HALF_LIFE_S} | others
    return decode_closed(blob, past, **about)


def content(closed):
    """All of it but the function that returns the rows."""
    return [
        closed.half_life_s,
        closed.devices,
        {signal: (buckets.tolist(), weights) for signal, (buckets, weights) in closed.counts.items()},
        closed.others,
        closed.since,
    ]


@given(usages(), st.integers(1, 40))
def test_closed_days_are_decoded_bit_for_bit(series, since):
    hours = days_of(series)
    past = encode(hours)
    closed = closed_days(hours, HALF_LIFE_S).with_look_back((hours.first_hour + since) * HOUR_S)
    blob = encode_closed(closed, past)
    assert is_closed_days(blob)
    found = decoded(blob, past, hours)
    for one, other in zip(content(found), content(closed), strict=True):
        assert same(one, other)
    assert same(found.rows(), hours.devices)


@given(usages(), st.data())
def test_damaged_closed_days_are_an_error(series, data):
    hours = days_of(series)
    past = encode(hours)
    whole = encode_closed(closed_days(hours, HALF_LIFE_S), past)
    at = data.draw(st.integers(0, len(whole) - 1))
    changed = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
    for damaged in (whole[:at], changed):
        with pytest.raises(UnreadableCheckpointError):
            decoded(damaged, past, hours)


def test_another_version_is_an_error():
    with pytest.raises(UnreadableCheckpointError, match="gpuwise-days/99"):
        decode_closed(b"gpuwise-days/99\n", b"", first_hour=0, end_hour=24, half_life_s=1)


@given(usages())
def test_closed_days_of_another_window_setting_or_checkpoint_are_not_used(series):
    hours = days_of(series)
    past = encode(hours)
    blob = encode_closed(closed_days(hours, HALF_LIFE_S), past)
    assert decoded(blob, past, hours) is not None
    assert decoded(blob, past, hours, first_hour=hours.first_hour + DAY_H) is None
    assert decoded(blob, past, hours, end_hour=hours.end_hour + DAY_H) is None
    assert decoded(blob, past, hours, half_life_s=HALF_LIFE_S + 1) is None
    assert decoded(blob, past[:-1] + bytes([past[-1] ^ 1]), hours) is None
    assert decoded(blob, past[:-1], hours) is None
