"""What has had GPUs for days and used none."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.finops.test_budgets import PRICE, TODAY, history

from gpuwise import spending
from gpuwise.finops.orphans import Use, orphans
from gpuwise.model.cost import CostRow, CostSum, GpuSeconds, Measures, Owner

DAY_S = 86_400
LAST_S = 20_000 * DAY_S


def use(*days: GpuSeconds | None, usd: float | None = 2.0, **owners: str) -> Use:
    """The days until the last one; None without GPUs."""
    first_s = LAST_S - (len(days) - 1) * DAY_S
    sums = {}
    for at, time in enumerate(days):
        if time is not None:
            money = GpuSeconds(used=time.capacity / 3600 * (usd or 0.0))
            sums[first_s + at * DAY_S] = CostSum((), time, money, GpuSeconds() if usd is not None else time)
    return Use(sums, LAST_S, {key: frozenset([name]) for key, name in owners.items()})


IDLE, BUSY = GpuSeconds(idle=2.0 * DAY_S), GpuSeconds(used=0.1 * DAY_S, idle=1.9 * DAY_S)
UNKNOWN = GpuSeconds(idle=1.0 * DAY_S, unknown=1.0 * DAY_S)


def test_days_without_use_are_counted_with_the_owner_and_the_money():
    [found] = orphans({("", "lab"): use(BUSY, IDLE, IDLE, IDLE, team="ml")}, 3, {})
    assert (found.idle_d, found.gpus, found.owner, found.gone) == (3, 2.0, "team ml", ())
    assert (found.last_use_s, found.first_day_s) == (LAST_S - 3 * DAY_S, LAST_S - 3 * DAY_S)
    assert found.usd == pytest.approx(3 * 48 * 2.0)
    assert found.usd_month == pytest.approx(2 * 730 * 2.0)


def test_an_owner_that_the_settings_do_not_know_is_gone():
    known = {"team": ["search"]}
    [found] = orphans({("", "lab"): use(IDLE, team="ml", user="ada")}, 1, known)
    assert found.gone == ("team ml",)


@pytest.mark.parametrize(
    "days",
    [
        (IDLE, IDLE, BUSY),  # used on the last day
        (IDLE, IDLE, UNKNOWN),  # not measured: it may have been used
        (IDLE, IDLE, None),  # it has no GPU any more
        (IDLE, BUSY, IDLE),  # for one day only
    ],
)
def test_what_is_used_not_measured_or_gone_is_not_forgotten(days):
    assert orphans({("", "lab"): use(*days)}, 2, {}) == ()


def test_never_used_and_without_a_price():
    [found] = orphans({("", "lab"): use(IDLE, IDLE, usd=None)}, 2, {})
    assert (found.last_use_s, found.usd, found.usd_month) == (None, None, None)


@given(st.lists(st.sampled_from([IDLE, BUSY, UNKNOWN, None]), min_size=1, max_size=8), st.integers(0, 7))
def test_less_data_never_forgets_more(days, at):
    """A day that was not measured, in place of any other, makes no run of idle days longer."""
    at %= len(days)
    before = orphans({("x",): use(*days)}, 1, {})
    after = orphans({("x",): use(*days[:at], UNKNOWN, *days[at + 1 :])}, 1, {})
    assert sum(one.idle_d for one in after) <= sum(one.idle_d for one in before)


def test_a_day_that_was_not_measured_is_no_last_use():
    [found] = orphans({("", "lab"): use(BUSY, UNKNOWN, IDLE, IDLE)}, 2, {})
    assert (found.last_use_s, found.measured) == (LAST_S - 2 * DAY_S, False)
    [found] = orphans({("", "lab"): use(UNKNOWN, BUSY, IDLE, IDLE)}, 2, {})
    assert (found.last_use_s, found.measured) == (LAST_S - 2 * DAY_S, True)


def test_of_a_cluster_free_gpus_are_idle_and_work_outside_of_kubernetes_is_use():
    free, outside = GpuSeconds(unallocated=DAY_S, stranded=5.0), GpuSeconds(idle=DAY_S, outside=DAY_S)
    [found] = orphans({("one",): use(free, free), ("two",): use(outside, outside)}, 2, {})
    assert found.name == ("one",)


def test_a_part_without_a_price_is_no_price_of_all():
    days = use(IDLE, IDLE)
    last = days.days[LAST_S]
    partly = Use({**days.days, LAST_S: replace(last, unpriced=GpuSeconds(idle=DAY_S))}, LAST_S, {})
    [found] = orphans({("", "lab"): partly}, 2, {})
    assert (found.usd, found.usd_month) == (None, None)


def test_declared_work_that_advances_is_a_sign_of_life():
    """Steps on the second of four idle days: two days without anything are left, and the day of the steps is shown."""
    idle = use(IDLE, IDLE, IDLE, IDLE)
    alive = replace(idle, worked=frozenset({LAST_S - 2 * DAY_S}))
    assert orphans({("", "lab"): alive}, 3, {}) == ()
    [found] = orphans({("", "lab"): alive}, 2, {})
    assert (found.idle_d, found.last_use_s, found.measured) == (2, LAST_S - 2 * DAY_S, True)
    assert found.progress_s == LAST_S - 2 * DAY_S


def test_work_that_nobody_declares_makes_no_finding_bolder():
    [known] = orphans({("", "lab"): replace(use(BUSY, IDLE, IDLE), worked=frozenset({LAST_S - 2 * DAY_S}))}, 2, {})
    [missing] = orphans({("", "lab"): use(BUSY, IDLE, IDLE)}, 2, {})
    assert (missing.progress_s, missing.idle_d) == (None, 2)
    assert replace(known, progress_s=None) == missing


@pytest.mark.parametrize("by", ["namespace", "cluster", "workload"])
def test_a_namespace_whose_job_counts_checkpoints_is_not_forgotten(by):
    """Two jobs with idle cards, one of which counted a checkpoint yesterday: only the other one is forgotten."""
    rows = []
    for back in range(20, 0, -1):
        for name, work in (("quiet", None), ("saves", 1.0 if back == 1 else 0.0)):
            owner = Owner("lab", f"Job/{name}", team="ml")
            unit = None if work is None else "train_checkpoints_total"
            idle = GpuSeconds(idle=float(DAY_S))
            rows.append(CostRow(TODAY - back * DAY_S, owner, PRICE, idle, Measures(work=work), unit))
    found = spending.orphans(history(rows), by, 14, {}, TODAY)
    assert [one.name[-1] for one in found] == (["Job/quiet"] if by == "workload" else [])
