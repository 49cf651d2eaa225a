"""Cost by any key: printed lines sum to the printed total, to the cent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuwise.cli.windows import days_of
from gpuwise.finops.allocation import OVERHEAD, Spread, allocation, gaps, rounded
from gpuwise.model.cost import CostSum, GpuSeconds
from gpuwise.model.errors import InputError
from gpuwise.model.usage import DAY_S

NOW_S = 1_795_392_000  # Monday 2026-11-23 00:00 UTC
hours = st.floats(0, 1e6)
classes = st.builds(GpuSeconds, used=hours, idle=hours, unknown=hours)
free = st.builds(GpuSeconds, outside=hours, unallocated=hours, unknown=hours, stranded=hours)


@st.composite
def sums(draw):
    found = []
    for index in range(draw(st.integers(0, 6))):
        price, priced, nobody = draw(st.floats(0.01, 10)), draw(st.booleans()), draw(st.booleans())
        time = draw(free if nobody else classes)
        usd = GpuSeconds(*(getattr(time, name) / 3600 * price * priced for name in time.__slots__))
        found.append(CostSum((f"team-{index}",), time, usd, GpuSeconds() if priced else time, nobody=nobody))
    return found


@given(st.lists(st.floats(0, 1e9), max_size=30))
def test_rounded_amounts_sum_to_the_rounded_total_and_none_is_off_by_one(amounts):
    whole = rounded(amounts)
    assert sum(whole) == round(sum(amounts))
    assert all(abs(one - amount) <= 1.0 + 1e-6 for one, amount in zip(whole, amounts, strict=True))


@given(sums(), st.sampled_from(Spread))
def test_lines_sum_to_the_total_to_the_cent_and_spreading_changes_no_sum(found, spread):
    plain, spreaded = allocation(found, ("team",)), allocation(found, ("team",), spread)
    for one in (plain, spreaded):
        assert sum(line.cents or 0 for line in one.lines) == (one.total.cents or 0)
        assert sum(line.gpu_h for line in one.lines) == pytest.approx(one.total.gpu_h)
        assert one.total.cents == plain.total.cents
        assert all((line.idle_cents or 0) <= (line.cents or 0) for line in one.lines)
    exact = sum(one.usd.capacity for one in found) * 100
    assert plain.total.cents is None or abs(plain.total.cents - exact) <= 0.5 + 1e-6


cents = st.floats(0, 0.2, allow_subnormal=False)
parts = st.lists(st.tuples(cents, st.just(0.0) | st.floats(1e-6, 1)), min_size=1, max_size=12)


@given(parts, st.integers(1, 12))
def test_idle_dollars_do_not_depend_on_the_key_and_are_no_more_than_a_line(found, groups):
    """Small amounts by many keys, and the same by fewer: one total, whose lines sum to it, each within its line."""

    def sums_by(number):
        grouped = {}
        for index, (usd, share) in enumerate(found):
            idle, used = usd * share, usd * (1 - share)
            known = grouped.get(index % number, GpuSeconds())
            grouped[index % number] = known + GpuSeconds(used=used, idle=idle)
        return [CostSum((f"t-{key}",), usd, usd) for key, usd in grouped.items()]

    fine, coarse = (allocation(sums_by(number), ("team",)) for number in (len(found), groups))
    exact = sum(usd * share * 100 for usd, share in found)
    for one in (fine, coarse):
        assert all(line.idle_cents <= line.cents for line in one.lines)
        assert sum(line.idle_cents for line in one.lines) == (one.total.idle_cents or 0)
    if abs(exact % 1 - 0.5) > 1e-6:
        assert fine.total.idle_cents == coarse.total.idle_cents
        assert (fine.total.idle_cents or 0) == round(exact)


def of(team, usd, *, nobody=False, **time):
    seconds = GpuSeconds(**{name: hours * 3600 for name, hours in time.items()})
    money = GpuSeconds(**{name: hours * usd for name, hours in time.items()}) if usd is not None else GpuSeconds()
    return CostSum((team,), seconds, money, GpuSeconds() if usd is not None else seconds, nobody=nobody)


FLEET = [of("a", 2.0, used=30.0), of("b", 2.0, used=5.0, idle=5.0), of(None, 2.0, nobody=True, unallocated=20.0)]


@pytest.mark.parametrize(
    ("spread", "expected"),
    [
        (Spread.NONE, {"a": 6_000, "b": 2_000, "unallocated": 4_000}),
        (Spread.PROPORTIONAL, {"a": 9_000, "b": 3_000, "unallocated": 0}),
        (Spread.EVEN, {"a": 8_000, "b": 4_000, "unallocated": 0}),
    ],
)
def test_who_pays_for_what_no_pod_was_allocated(spread, expected):
    found = allocation(FLEET, ("team",), spread)
    assert {line.keys[0] or line.kind: line.cents for line in found.lines} == expected
    assert found.total.cents == 12_000


def test_a_line_without_a_price_is_no_line_of_zero_dollars():
    found = allocation([of("a", None, used=3.0)], ("team",))
    assert (found.lines[0].cents, found.total.cents, found.total.unpriced_gpu_h) == (None, None, 3.0)


def test_work_outside_of_kubernetes_is_not_spread():
    assert "outside" not in OVERHEAD
    found = allocation([*FLEET, of(None, 2.0, nobody=True, outside=10.0)], ("team",), Spread.EVEN)
    assert {line.kind for line in found.lines if line.cents} == {"allocated", "outside"}


@pytest.mark.parametrize(
    ("text", "name", "days"),
    [
        ("month", "2026-11", 30),
        ("last-month", "2026-10", 31),
        ("week", "2026-W48", 7),
        ("last-week", "2026-W47", 7),
        ("30d", "2026-10-25..2026-11-23", 30),
        ("2024-02", "2024-02", 29),
        ("2026-W53", "2026-W53", 7),
        ("2026-05-01..2026-05-15", "2026-05-01..2026-05-15", 15),
    ],
)
def test_the_windows_that_a_command_takes(text, name, days):
    found = days_of(text, NOW_S)
    assert (found.name, found.end_s - found.start_s, found.start_s % DAY_S) == (name, days * DAY_S, 0)


@pytest.mark.parametrize(
    "text",
    ["", "0d", "2026-13", "2025-W53", "2026-05-15..2026-05-01", "may", "2026-W00", "99999d", "2026-11-31..2026-12-01"],
)
def test_a_window_that_does_not_exist_is_refused_with_what_to_write(text):
    with pytest.raises(InputError, match="--window") as error:
        days_of(text, NOW_S)
    assert "last-month" in error.value.hint


def test_days_that_are_missing_are_counted():
    known = {0: True, DAY_S: False}
    assert gaps(known, 0, 3 * DAY_S) == "1 of 3 days are not in the cost history; 1 day is not complete yet"
    assert gaps({0: True}, 0, DAY_S) == ""
