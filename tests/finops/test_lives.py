"""Nodes that had one name after another: each has its own card, time and price, computed on paper in each test."""

from pathlib import Path

import pytest
from tests.finops.recorded import HOUR, IDLE, WEEK_H, Fleet
from tests.finops.test_capacity import hours

from gpuwise.finops.lives import Lives
from gpuwise.model.inventory import Node
from gpuwise.model.profile import DayUse, Stay

NOON = 60
"""Wednesday 12:00."""


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    made = Fleet(tmp_path)
    made.namespace("red", team="red")
    made.deployment("w")
    return made


def replaced(fleet: Fleet, ledger: Path, *, first: str, second: str, used: bool = True) -> None:
    """Node a1 is on-demand or spot until Wednesday 12:00, then another one has its name; a pod has its card or not."""
    others = list(fleet.objects)
    fleet.node("a1", capacity=first)
    if used:
        fleet.pod("w-5d4f8c7b9-zz222", "a1", hours=(0, NOON), device="GPU-old")
    fleet.report(hours=NOON, ledger=ledger, run=True)
    fleet.objects = others
    fleet.node("a1", capacity=second, created_h=NOON)
    if used:
        fleet.pod("w-5d4f8c7b9-zzzzz", "a1", hours=(NOON, WEEK_H), device="GPU-new")


@pytest.mark.parametrize(
    ("first", "second", "usd"), [("spot", "on-demand", 60 + 108 * 4), ("on-demand", "spot", 60 * 4 + 108)]
)
def test_each_node_of_a_name_has_its_price_on_the_day_of_the_change(fleet, tmp_path, first, second, usd):
    replaced(fleet, tmp_path / "ledger.db", first=first, second=second)
    report = fleet.report(ledger=tmp_path / "ledger.db")
    assert hours(report.bill) == {"used": 168}
    assert report.bill.used_usd == pytest.approx(usd)
    assert [one.cost_usd for one in report.workloads] == [pytest.approx(usd)]


def test_the_free_time_of_each_node_of_a_name_has_its_price(fleet, tmp_path):
    fleet.node("t1", card="T4")
    fleet.pod("w-0", "t1", hours=(0, WEEK_H), owner="w")
    replaced(fleet, tmp_path / "ledger.db", first="spot", second="on-demand", used=False)
    bill = fleet.report(ledger=tmp_path / "ledger.db").bill
    assert hours(bill) == {"used": 168, "unallocated": 168}
    assert bill.unallocated_usd == pytest.approx(60 + 108 * 4)


def test_what_was_spent_before_a_node_was_created_is_of_an_earlier_one(fleet):
    """Nobody remembers that a1 had an A100 until Wednesday 00:00. On-demand A100s cost $4; the T4 of now costs $1."""
    fleet.node("b1")
    fleet.node("a1", card="T4", created_h=48)
    fleet.pod("w-5d4f8c7b9-zz222", "a1", hours=(0, 48), device="GPU-old")
    fleet.pod("w-5d4f8c7b9-zzzzz", "a1", hours=(48, WEEK_H), device="GPU-new", card="T4")
    report = fleet.report()
    assert hours(report.bill) == {"used": 168, "unallocated": 168}
    assert report.bill.used_usd == pytest.approx(48 * 4 + 120)
    assert any("an earlier a1" in note for note in report.quality.notes)


def test_the_same_card_before_and_after_is_the_same_machine(fleet):
    """The object of spot node a1 was deleted and created again on Wednesday, under a pod that ran on."""
    fleet.node("b1")
    fleet.node("a1", capacity="spot", created_h=48)
    fleet.pod("w-5d4f8c7b9-zz222", "a1", hours=(0, 40), device="GPU-2")
    fleet.pod("w-5d4f8c7b9-zzzzz", "a1", hours=(40, WEEK_H), device="GPU-2")
    bill = fleet.report().bill
    assert (hours(bill)["used"], bill.used_usd) == (168, pytest.approx(168))


def test_a_node_that_is_gone_existed_until_its_last_sample(fleet, tmp_path):
    """Spot node s1 (2 GPUs) was last seen by the scan of Tuesday 00:00 and has samples until Thursday 00:00."""
    ledger = tmp_path / "ledger.db"
    fleet.node("a1")
    fleet.pod("w-5d4f8c7b9-zzzzz", "a1", hours=(0, 24), owner="w")
    others = list(fleet.objects)
    fleet.node("s1", gpus=2, capacity="spot")
    fleet.pod("w-5d4f8c7b9-zz222", "s1", hours=(0, 24), device="GPU-2")
    fleet.report(hours=24, ledger=ledger, run=True)
    fleet.objects = others
    fleet.pod("w-5d4f8c7b9-zzzzz", "a1", hours=(24, WEEK_H))
    fleet.pod("w-5d4f8c7b9-zz222", "s1", hours=(24, 72), device="GPU-2")
    bill = fleet.report(ledger=ledger).bill
    assert hours(bill) == {"used": 168 + 72, "unallocated": 72}
    assert bill.unallocated_usd == pytest.approx(72)


def test_two_nodes_never_have_a_name_at_the_same_time():
    """Metrics show the end of a node to 5 minutes; the next one was created within them."""
    first, second = (
        Node("a1", None, "", 1, {}, None, None, created_s=created_s, gone_s=gone_s)
        for created_s, gone_s in ((0, 1_000), (800, None))
    )
    lives = Lives.of([first], [second], [], start_s=0)
    assert [lives.nodes[key].gone_s for key in lives.keys["a1"]] == [800, None]


def test_idle_time_is_that_of_the_node_on_which_it_was(fleet, tmp_path):
    """Idle on the first node, at $1; in use on the second, at $4."""
    ledger = tmp_path / "ledger.db"
    others = list(fleet.objects)
    fleet.node("a1", capacity="spot")
    fleet.pod("w-5d4f8c7b9-zz222", "a1", hours=(0, NOON), device="GPU-old", values=IDLE)
    fleet.report(hours=NOON, ledger=ledger, run=True)
    fleet.objects = others
    fleet.node("a1", created_h=NOON)
    fleet.pod("w-5d4f8c7b9-zzzzz", "a1", hours=(NOON, WEEK_H), device="GPU-new")
    bill = fleet.report(ledger=ledger).bill
    assert hours(bill) == {"idle": 60, "used": 108}
    assert (bill.idle_usd, bill.used_usd) == (pytest.approx(60), pytest.approx(108 * 4))


def test_use_without_a_pod_is_that_of_the_node_on_which_it_was():
    """Work is known by day alone: 6 of 12 hours, so in proportion 3 of the 6 hours of each node."""
    first, second = (
        Node("a1", None, "", 1, {}, None, None, created_s=created_s, gone_s=gone_s)
        for created_s, gone_s in ((0, 6 * HOUR), (6 * HOUR, None))
    )
    stays = (Stay("GPU-1", "a1", "T4", 1.0, 0, 6 * HOUR), Stay("GPU-2", "a1", "T4", 1.0, 6 * HOUR, 12 * HOUR))
    day = DayUse(0, "a1", "T4", 12.0 * HOUR, 0.0, 6.0 * HOUR)
    parts, _ = Lives.of([first], [second], stays, start_s=0).divided((day,), stays)
    assert [(one.node, one.allocated_gpu_s / HOUR, one.active_gpu_s / HOUR) for one in parts] == [
        ("a1 #1", 6.0, 3.0),
        ("a1", 6.0, 3.0),
    ]
