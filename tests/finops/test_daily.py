"""The rows of the cost history sum to the bill, by any key."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from tests.finops.test_report import MONDAY, NEXT, PRICES, node, used, week, weeks, workload

from gpuwise.finops import Tags, bill, daily_costs, days_of
from gpuwise.memory.ledger import SqliteLedger
from gpuwise.model.cost import CLASSES, KEYS, NOBODY
from gpuwise.model.inventory import Namespace, deleted_ref
from gpuwise.model.tagging import owner_of
from gpuwise.model.usage import DAY_S


def close(value):
    return pytest.approx(value, rel=1e-9, abs=1e-3)


def known(one):
    """The period of a whole fleet until the last sampled day: after it, nothing is known."""
    days = days_of(replace(one, selection=None))
    assume(days)
    return replace(one, selection=None, end_s=min(one.end_s, days[-1].day_s + DAY_S))


@given(weeks())
def test_the_rows_of_a_period_sum_to_its_bill_class_by_class(one):
    one = known(one)
    rows, whole = daily_costs(one), bill(one)
    for name in CLASSES:
        assert sum(getattr(row.time, name) for row in rows) == close(getattr(whole, f"{name}_gpu_s"))
        priced = ((getattr(row.time, name), row.price.usd_per_gpu_h) for row in rows)
        assert sum(time / 3600 * usd for time, usd in priced if usd is not None) == close(getattr(whole, f"{name}_usd"))
    unpriced = sum(row.time.capacity for row in rows if row.price.usd_per_gpu_h is None)
    assert unpriced == close(whole.unpriced_gpu_s)
    assert {row.day_s for row in rows} <= {day.day_s for day in days_of(one)}


@settings(max_examples=20)
@given(weeks())
def test_the_sums_by_any_key_are_those_of_the_rows(one):
    one = known(one)
    rows = daily_costs(one)
    with SqliteLedger(Path(":memory:")) as ledger:
        history = ledger.costs()
        history.record(days_of(one), rows)
        for by in ((), ("team",), ("day", "namespace", "phase"), KEYS):
            sums = list(history.sums(by, one.start_s, one.end_s))
            for name in CLASSES:
                assert sum(getattr(found.time, name) for found in sums) == close(
                    sum(getattr(row.time, name) for row in rows)
                )
            usd = sum(row.time.capacity / 3600 * (row.price.usd_per_gpu_h or 0.0) for row in rows)
            assert sum(found.usd.capacity for found in sums) == close(usd)
        assert sorted(history.rows(one.start_s, one.end_s), key=str) == sorted(rows, key=str)


def history_of(*periods):
    ledger = SqliteLedger(Path(":memory:"))
    for one in periods:
        ledger.costs().record(days_of(one), daily_costs(one))
    return ledger.costs()


def fleet(usd_per_gpu_h=6.0, *, until_s=NEXT, idle_h=0.0):
    """One workload with 24 GPU-hours each day, on a node with 8 GPUs."""
    one = workload("chat", ("h0",), team="search")
    prices = replace(PRICES, usd_per_gpu_h=dict.fromkeys(PRICES.usd_per_gpu_h, usd_per_gpu_h))
    pairs = [(one, used(one.ref, [(24.0, idle_h)] * 7, nodes=("h0",)))]
    return week([node("h0", "H100-80GB")], pairs, now_s=until_s, prices=prices)


def usd(history, since_s=MONDAY, until_s=NEXT):
    return sum(found.usd.capacity for found in history.sums(("team",), since_s, until_s) if found.keys == ("search",))


def test_a_closed_day_keeps_its_price_and_its_use():
    """Three days at 6 dollars, four at 9: 24 h x (3 x 6 + 4 x 9) = 1,296 dollars."""
    history = history_of(fleet(6.0, until_s=MONDAY + 3 * DAY_S + 7_200), fleet(9.0, idle_h=12.0, until_s=NEXT + 7_200))
    assert usd(history) == close(1_296.0)
    assert [day.closed for day in history.days(MONDAY, NEXT)] == [True] * 7


def test_a_day_in_progress_is_replaced_by_more_of_it_and_never_by_less():
    part, more = (fleet(until_s=MONDAY + hour * 3_600) for hour in (6, 18))
    for order in ((part, more), (more, part)):
        [day] = history_of(*order).days(MONDAY, NEXT)
        assert (day.until_s - day.day_s, day.closed) == (18 * 3_600, False)


def test_a_day_is_closed_some_time_after_its_end_so_that_late_samples_count():
    [day] = days_of(fleet(until_s=MONDAY + DAY_S))
    assert not day.closed


def test_the_days_of_another_cluster_are_its_own():
    one, ledger = fleet(), SqliteLedger(Path(":memory:"))
    for cluster in ("a", "b"):
        ledger.belongs_to(cluster)
        ledger.costs().record(days_of(one), daily_costs(one))
    assert usd(ledger.costs()) == close(7 * 24 * 6.0)
    ledger.belongs_to("")
    assert {found.keys for found in ledger.costs().sums(("cluster",), MONDAY, NEXT)} == {("a",), ("b",)}


SPACE = Namespace("apps", {"team": "platform", "cost-center": "cc-7"}, {"acme.example/project": "atlas"})


@pytest.mark.parametrize(
    ("labels", "tags", "named"),
    [
        ({}, {}, {"team": "platform", "organisation": "cc-7", "project": None, "phase": "inference"}),
        ({"team": "ml", "model": "llama"}, {}, {"team": "ml", "model": "llama"}),
        ({"phase": "experiment"}, {}, {"phase": "experiment"}),
        ({}, {"project": ("acme.example/project",)}, {"project": "atlas"}),
        ({"squad": "x"}, {"team": ("squad",)}, {"team": "x"}),
    ],
)
def test_who_gpu_time_is_allocated_to(labels, tags, named):
    one = replace(workload("chat", ()), labels=labels)
    owner = owner_of(one.ref, one, SPACE, Tags(tags))
    assert {key: getattr(owner, key) for key in named} == named
    assert (owner.namespace, owner.workload, owner.endpoint) == ("apps", "Deployment/chat", "chat")


@pytest.mark.parametrize(
    ("value", "team"),
    [
        *(("\x1b[31mred\x07", "[31mred"), ("a\r\n b", "a b"), ("nul\0", "nul"), ("\ud800x\u202e", "x")),
        *((" \t", None), ("x" * 300, "x" * 253), ("R&D Zürich 東京", "R&D Zürich 東京")),
    ],
)
def test_an_annotation_is_one_line_that_every_terminal_and_database_takes(value, team):
    one = replace(workload("a", ()), annotations={"gpuwise.dev/team": value})
    assert owner_of(one.ref, one, None, Tags()).team == team


def test_deleted_workloads_belong_to_their_namespace():
    owner = owner_of(deleted_ref("apps"), None, SPACE, Tags())
    assert (owner.team, owner.workload, owner.phase, owner.endpoint) == ("platform", None, None, None)


def test_time_that_no_pod_was_allocated_is_nobodys():
    free = [row for row in daily_costs(fleet()) if row.owner == NOBODY]
    assert sum(row.time.unallocated for row in free) / 3600 == close(7 * 24 * 8 - 7 * 24)


def test_days_after_the_last_sample_are_not_known_and_not_stored():
    """A recording that ended, or a Prometheus that does not answer: three days without any sample of the fleet."""
    one = fleet()
    [(ref, use)] = [(ref, use) for ref, use in one.billed.items() if use.days]
    until_s = MONDAY + 4 * DAY_S
    cut = replace(
        use,
        days=tuple(day for day in use.days if day.start_s < until_s),
        sampled_gpu_s={day_s: gpu_s for day_s, gpu_s in use.sampled_gpu_s.items() if day_s < until_s},
    )
    ended = replace(one, billed={**one.billed, ref: cut})
    assert [day.day_s for day in days_of(ended)] == [MONDAY + at * DAY_S for at in range(4)]
    assert {row.day_s for row in daily_costs(ended)} == {day.day_s for day in days_of(ended)}
