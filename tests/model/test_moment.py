"""Instants in annotations: RFC 3339 with a time zone, and nothing else."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuwise.model.moment import epoch_s


@given(st.datetimes(min_value=datetime(1970, 1, 2), timezones=st.timezones()))  # noqa: DTZ001 - a bound
def test_it_reads_what_the_standard_library_writes(instant):
    instant = instant.replace(microsecond=0)
    offset = instant.utcoffset()
    if offset.seconds % 60 == 0:
        assert epoch_s(instant.isoformat()) == int(instant.timestamp())


@pytest.mark.parametrize("text", ["2026-11-30T18:00:00Z", "2026-11-30T19:00:00.5+01:00", " 2026-11-30t13:00:00-05:00 "])
def test_the_same_instant_in_several_forms(text):
    assert epoch_s(text) == 1_796_061_600


@pytest.mark.parametrize(
    "text",
    ["", "soon", "2026-11-30", "2026-11-30T18:00:00", "2026-13-30T18:00:00Z", "2026-02-30T18:00:00Z", "1796061600",
     "2026-11-30T25:00:00Z", "\uff12026-11-30T18:00:00Z"],
)  # fmt: skip
def test_anything_else_is_none(text):
    assert epoch_s(text) is None
