"""Capacity, time and owners of small fleets, whose bill is computed on paper in each test.

Every fleet is one kind of public report: nodes that come and go, exporters that stop, pods that follow each other.
"""

from pathlib import Path

import pytest
from tests.finops.recorded import IDLE, PRICES, WEEK_H, Fleet, at

from gpuwise.cli.selecting import Selection
from gpuwise.memory.ledger import SqliteLedger
from gpuwise.model.changes import ScaleTo
from gpuwise.model.command import FLEET, Command, Intent, Limit, Outcome, OutcomeStatus
from gpuwise.model.inventory import WorkloadRef
from gpuwise.model.report import Bill, WeeklyReport
from gpuwise.report import render_html, render_markdown
from gpuwise.report.wording import headline

CLASSES = ("used", "idle", "outside", "unallocated", "unknown", "stranded")


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    made = Fleet(tmp_path)
    made.namespace("red", team="red")
    made.namespace("blue", team="blue")
    return made


def hours(bill: Bill) -> dict[str, float]:
    """GPU-hours of the classes that are not 0."""
    found = {name: getattr(bill, f"{name}_gpu_s") / 3600 for name in CLASSES}
    return {name: value for name, value in found.items() if value}


def costs(report: WeeklyReport) -> dict[str, tuple[float, float | None]]:
    """GPU-hours and dollars by workload."""
    return {one.workload: (one.allocated_gpu_h, one.cost_usd) for one in report.workloads}


def test_a_node_counts_from_its_creation(fleet):
    """One card all week, and 8 cards from Saturday 00:00 on: 168 h and 8 x 48 h at $4."""
    fleet.node("a1")
    fleet.node("a2", gpus=8, created_h=120)
    fleet.deployment("w")
    fleet.pod("w-0", "a1", hours=(0, WEEK_H), owner="w")
    bill = fleet.report().bill
    assert hours(bill) == {"used": 168, "unallocated": 384}
    assert bill.capacity_usd == pytest.approx((168 + 384) * 4)


def test_a_pod_has_its_card_while_the_exporter_is_silent(fleet):
    """The pod runs all week; samples exist from Tuesday to Friday only. The card is not idle, and not free."""
    fleet.node("a1")
    fleet.deployment("w")
    fleet.pod("w-0", "a1", hours=(24, 96), owner="w", started_h=-10)
    report = fleet.report()
    assert hours(report.bill) == {"used": 168}
    assert report.bill.used_usd == pytest.approx(672)
    assert any("no sample of 2026-11-16, 2026-11-20" in note for note in report.quality.notes)


def test_a_pod_without_any_sample_is_unknown(fleet):
    """Two cards, two pods; one of them was never sampled. It runs since hour 100: 68 h of it are unknown."""
    fleet.node("a1", gpus=2)
    fleet.deployment("w")
    fleet.deployment("x")
    fleet.pod("w-0", "a1", hours=(0, WEEK_H), owner="w")
    fleet.pod("x-0", "a1", hours=None, owner="x", started_h=100)
    report = fleet.report()
    assert hours(report.bill) == {"used": 168, "unallocated": 100, "unknown": 68}
    assert report.bill.unknown_usd == pytest.approx(68 * 4)
    assert {one.workload: one.unknown_gpu_h for one in report.workloads}["red/Deployment/x"] == 68


def test_a_replica_without_any_sample_is_unknown(fleet):
    """Of two replicas one was never sampled: its time is no evidence of use."""
    fleet.node("a1", gpus=2)
    fleet.deployment("w")
    fleet.pod("w-0", "a1", hours=(0, WEEK_H), owner="w")
    fleet.pod("w-1", "a1", hours=None, owner="w", started_h=0)
    assert hours(fleet.report().bill) == {"used": 168, "unknown": 168}


@pytest.mark.parametrize("phase", ["Pending", "Unknown"])
def test_a_pod_that_is_assigned_to_a_node_has_its_card_before_it_runs(fleet, phase):
    """x pulls its image since hour 100 and was never sampled: its card is not free. Another card is."""
    fleet.node("a1", gpus=3)
    fleet.deployment("w")
    fleet.deployment("x")
    fleet.pod("w-0", "a1", hours=(0, WEEK_H), owner="w")
    fleet.pod("x-0", "a1", hours=None, owner="x", started_h=100, phase=phase)
    report = fleet.report()
    assert hours(report.bill) == {"used": 168, "unallocated": 168 + 100, "unknown": 68}
    assert costs(report)["red/Deployment/x"] == (68, pytest.approx(272))


def test_a_pending_pod_that_is_sampled_has_its_card_from_its_start(fleet):
    """It is sampled from hour 100 on, and was assigned at hour 90: what was not measured counts as used."""
    fleet.node("a1")
    fleet.deployment("x")
    fleet.pod("x-0", "a1", hours=(100, WEEK_H), owner="x", started_h=90, phase="Pending", values=IDLE)
    assert hours(fleet.report().bill) == {"used": 10, "idle": 68, "unknown": 90}


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_pod_that_ended_has_no_card(fleet, phase):
    fleet.node("a1", gpus=2)
    fleet.deployment("w")
    fleet.pod("w-0", "a1", hours=(0, WEEK_H), owner="w")
    fleet.pod("w-1", "a1", hours=None, owner="w", started_h=0, phase=phase)
    assert hours(fleet.report().bill) == {"used": 168, "unallocated": 168}


def test_a_day_on_which_nothing_was_sampled_is_not_free(fleet):
    """Tuesday and Wednesday have no sample of anything: the pod has its card, of the other card nothing is known."""
    fleet.node("a1", gpus=2)
    fleet.deployment("w")
    for first, last in ((0, 24), (72, WEEK_H)):
        fleet.pod("w-0", "a1", hours=(first, last), owner="w" if first == 0 else None)
    report = fleet.report()
    assert hours(report.bill) == {"used": 168, "unallocated": 168 - 48, "unknown": 48}
    assert any("no sample of 2026-11-17, 2026-11-18." in note for note in report.quality.notes)
    assert [day.unknown_gpu_h for day in report.days] == [0, 24, 24, 0, 0, 0, 0]


def test_a_silent_day_between_two_pods_is_not_free(fleet):
    """One Job ended on Monday, the next began on Wednesday: without a sample, Tuesday is unknown."""
    fleet.node("a1")
    fleet.pod("one-x7k2p", "a1", hours=(0, 24))
    fleet.pod("two-x7k2p", "a1", hours=(48, 72))
    assert hours(fleet.report().bill) == {"used": 48, "unknown": 24, "unallocated": 96}


def test_a_week_without_data_is_unknown(fleet):
    """Nothing was sampled: the week is neither idle nor unallocated, and it costs money."""
    fleet.node("a1", gpus=2)
    report = fleet.report()
    assert hours(report.bill) == {"unknown": 336}
    assert report.bill.unknown_usd == pytest.approx(336 * 4)


def test_what_was_never_measured_has_no_idle_cost(fleet):
    """A pod that no exporter knows costs $672; that it was idle for $0 is not known."""
    fleet.node("a1")
    fleet.deployment("w")
    fleet.pod("w-0", "a1", hours=None, owner="w", started_h=-10)
    report = fleet.report()
    assert [(one.cost_usd, one.idle_usd) for one in report.workloads] == [(pytest.approx(672), None)]
    assert [(one.cost_usd, one.idle_usd) for one in report.teams] == [(pytest.approx(672), None)]


def test_the_pool_is_the_nodes_whatever_the_series_call_the_card(fleet):
    """The recording says "NVIDIA A100" without its size. The node has one card: 168 h, not 336 h."""
    fleet.node("a1")
    fleet.deployment("w")
    fleet.pod("w-0", "a1", hours=(0, WEEK_H), owner="w", card="NVIDIA A100")
    report = fleet.report()
    assert hours(report.bill) == {"used": 168}
    assert report.bill.used_usd == pytest.approx(672)
    assert report.workloads[0].gpu_type == "A100-80GB"


@pytest.mark.parametrize("capacity", [None, "on-demand"])
def test_a_gone_node_never_reduces_another_node(fleet, capacity):
    """a0 was used for 72 h and is gone; a1 was empty all week. Labels change prices, never hours: 240 h, $960."""
    fleet.node("a1", capacity=capacity)
    fleet.deployment("w")
    fleet.pod("w-5d4f8c7b9-zz222", "a0", hours=(0, 72))
    report = fleet.report()
    assert hours(report.bill) == {"used": 72, "unallocated": 168}
    assert report.bill.capacity_usd == pytest.approx(960)
    assert any("a0" in note for note in report.quality.notes)


def test_a_gone_node_of_unknown_capacity_type_has_no_price_where_that_matters(fleet):
    """s1 is gone. Other A100s cost $4 and $1, so its 100 h have no price, and the report says so."""
    fleet.node("a1")
    fleet.node("s0", capacity="spot")
    fleet.deployment("w")
    fleet.pod("w-5d4f8c7b9-zzzzz", "a1", hours=(0, WEEK_H), owner="w")
    fleet.pod("w-5d4f8c7b9-zz222", "s1", hours=(0, 100), device="GPU-2")
    report = fleet.report()
    assert hours(report.bill) == {"used": 268, "unallocated": 168}
    assert report.bill.unpriced_gpu_s == 100 * 3600
    assert report.bill.used_usd == pytest.approx(672)
    assert costs(report) == {"red/Deployment/w": (268, pytest.approx(672))}
    assert report.workloads[0].unpriced_gpu_h == 100
    assert any("s1" in note and "$100" in note and "$400" in note for note in report.quality.notes)


def test_the_hours_of_a_deleted_workload_fall_to_the_team_of_its_namespace(fleet):
    """A Job used a card for 120 h and was deleted: $480 for red, and 48 h free, $192."""
    fleet.node("a1")
    fleet.pod("train-x7k2p", "a1", hours=(0, 120))
    report = fleet.report()
    assert hours(report.bill) == {"used": 120, "unallocated": 48}
    assert costs(report) == {"deleted workloads in namespace red": (120, pytest.approx(480))}
    assert [(one.team, one.cost_usd) for one in report.teams] == [("red", pytest.approx(480))]
    assert not report.recommendations


def test_deleted_workloads_of_an_unknown_namespace_are_a_line_without_a_team(fleet):
    fleet.node("a1")
    fleet.pod("train-x7k2p", "a1", hours=(0, 10), namespace="gone")
    report = fleet.report()
    assert costs(report) == {"deleted workloads in namespace gone": (10, pytest.approx(40))}
    assert report.teams[0].team is None


def test_pods_that_follow_each_other_within_a_step_share_it(tmp_path):
    """24 pods of 5 minutes, begun 2 minutes into a step: a card has 2 h of time in 2 h, $8."""
    fleet = Fleet(tmp_path, step_s=60)
    fleet.namespace("red", team="red")
    fleet.node("a1")
    fleet.deployment("cron")
    letters = "bcdfghjklmnpqrstvwxz2456"
    for number in range(24):
        start = number / 12
        fleet.pod(f"cron-5d4f8c7b9-{letters[number]}zzzz", "a1", hours=(start + 1 / 30, start + 7 / 60))
    fleet.step_s = 300
    report = fleet.report(hours=2)
    assert sum(hours(report.bill).values()) == pytest.approx(2)
    assert hours(report.bill)["used"] == pytest.approx(2)
    assert report.bill.used_usd == pytest.approx(8)


def test_two_workloads_on_one_card_have_its_time_once(fleet):
    """x runs all week, y from hour 84 on, and the recording gives both the whole card: 126 h and 42 h."""
    fleet.node("a1")
    for name, first, space in (("x", 0, "red"), ("y", 84, "blue")):
        fleet.deployment(name, namespace=space)
        fleet.pod(f"{name}-0", "a1", hours=(first, WEEK_H), owner=name, namespace=space)
    report = fleet.report()
    assert costs(report) == {
        "red/Deployment/x": (126, pytest.approx(504)),
        "blue/Deployment/y": (42, pytest.approx(168)),
    }
    assert hours(report.bill) == {"used": 168}


@pytest.mark.parametrize(("shares", "x_h", "y_h"), [((0.5, 1.0), 30 + 108, 30), ((1.0, 0.5), 60 + 54, 54)])
def test_a_stated_share_that_changes_counts_from_then_on(fleet, shares, x_h, y_h):
    """x has half of the card while y runs, and the whole card before or after it."""
    fleet.node("t1", card="T4", shared_by=2)
    fleet.deployment("x")
    fleet.deployment("y")
    for span, share in zip(((0, 60), (60, WEEK_H)), shares, strict=True):
        fleet.pod("x-5d4f8c7b9-zzzzz", "t1", hours=span, card="T4", share=share)
        if share < 1.0:
            fleet.pod("y-5d4f8c7b9-zz222", "t1", hours=span, card="T4", share=share)
    report = fleet.report()
    assert hours(report.bill) == {"used": 168}
    assert {name: held for name, (held, _) in costs(report).items()} == pytest.approx(
        {"red/Deployment/x": x_h, "red/Deployment/y": y_h}
    )


def test_idle_time_of_a_shared_card_is_divided_like_its_time(fleet):
    """Both run all week and y is idle: half of the card is used, half is idle."""
    fleet.node("a1")
    for name, values in (("x", None), ("y", IDLE)):
        fleet.deployment(name)
        more = {} if values is None else {"values": values}
        fleet.pod(f"{name}-0", "a1", hours=(0, WEEK_H), owner=name, **more)
    assert hours(fleet.report().bill) == {"used": 84, "idle": 84}


def test_a_mig_instance_counts_by_the_larger_of_compute_and_memory(fleet):
    """Four 1g.20gb fill the memory of an A100-80GB, so each is a quarter of it, not a seventh: nothing is left."""
    fleet.node("m1", mig={"1g.20gb": 4})
    for number in range(4):
        fleet.deployment(f"s{number}", resource="nvidia.com/mig-1g.20gb")
        fleet.pod(
            f"s{number}-0", "m1", hours=(0, WEEK_H), owner=f"s{number}", device=f"MIG-{number}", share=1 / 7,
            resource="nvidia.com/mig-1g.20gb",
        )  # fmt: skip
    report = fleet.report()
    assert hours(report.bill) == pytest.approx({"used": 168})
    assert costs(report)["red/Deployment/s0"] == (pytest.approx(42), pytest.approx(168))


def test_a_mig_instance_counts_so_after_its_card_was_made_whole_again(fleet):
    """Until hour 72 the card was four 1g.20gb, now it is one GPU: the instances were still a quarter of it each."""
    fleet.node("m1")
    for number in range(4):
        fleet.deployment(f"s{number}", resource="nvidia.com/mig-1g.20gb")
        fleet.pod(f"s{number}-5d4f8c7b9-zzzzz", "m1", hours=(0, 72), device=f"MIG-{number}", share=1 / 7)
    fleet.deployment("w")
    fleet.pod("w-0", "m1", hours=(72, WEEK_H), owner="w")
    assert hours(fleet.report().bill) == pytest.approx({"used": 168})


def test_the_rest_of_a_divided_card_is_stranded(fleet):
    """3g.40gb is half of the card, the other half was not made into an instance: 84 h used, 84 h stranded."""
    fleet.node("m1", mig={"3g.40gb": 1})
    fleet.deployment("s", resource="nvidia.com/mig-3g.40gb")
    fleet.pod("s-0", "m1", hours=(0, WEEK_H), owner="s", device="MIG-1", share=3 / 7, resource="nvidia.com/mig-3g.40gb")
    report = fleet.report()
    assert hours(report.bill) == pytest.approx({"used": 84, "stranded": 84})
    assert report.bill.stranded_usd == pytest.approx(336)


def test_a_whole_card_beside_a_divided_one_has_no_rest(fleet):
    """One card is whole and used; 3g.40gb and 1g.10gb of the other are 1/2 and 1/7, its rest is 5/14: 60 h."""
    fleet.node("m1", gpus=2, mig={"3g.40gb": 1, "1g.10gb": 1}, whole=1)
    fleet.deployment("w")
    fleet.deployment("s", resource="nvidia.com/mig-3g.40gb")
    fleet.pod("w-0", "m1", hours=(0, WEEK_H), owner="w")
    fleet.pod("s-0", "m1", hours=(0, WEEK_H), owner="s", device="MIG-1", share=3 / 7, resource="nvidia.com/mig-3g.40gb")
    assert hours(fleet.report().bill) == pytest.approx({"used": 168 + 84, "unallocated": 24, "stranded": 60})


def test_a_card_is_not_known_to_be_free_before_the_first_sample(fleet):
    """The recording begins on Tuesday at 12:00; the pod began then. Of the other card 36 h are unknown."""
    fleet.node("a1", gpus=2)
    fleet.deployment("w")
    fleet.pod("w-0", "a1", hours=(36, WEEK_H), owner="w")
    assert hours(fleet.report().bill) == {"used": 132, "unallocated": 132, "unknown": 72}


def test_instances_whose_shares_exceed_their_card_have_its_time_once(fleet):
    """4g.40gb is 4/7 by compute and 3g.40gb 1/2 by memory: together the card, in proportion."""
    fleet.node("m1", mig={"4g.40gb": 1, "3g.40gb": 1})
    for profile, share in (("4g.40gb", 4 / 7), ("3g.40gb", 3 / 7)):
        name, resource = f"s{profile[0]}", f"nvidia.com/mig-{profile}"
        fleet.deployment(name, resource=resource)
        fleet.pod(
            f"{name}-0", "m1", hours=(0, WEEK_H), owner=name, device=f"MIG-{name}", share=share, resource=resource
        )
    bill = fleet.report().bill
    assert hours(bill) == {"used": pytest.approx(168)}


def test_what_has_no_price_is_unknown_and_never_0_dollars(fleet):
    """Of 840 GPU-hours 672 were idle on H100s without a price: blue's cost is unknown, and the headline has hours."""
    fleet.node("a1")
    fleet.node("h1", gpus=4, card="H100-80GB")
    fleet.deployment("w")
    fleet.deployment("z", namespace="blue")
    fleet.pod("w-0", "a1", hours=(0, WEEK_H), owner="w")
    for number in range(4):
        fleet.pod(
            f"z-{number}", "h1", hours=(0, WEEK_H), owner="z", namespace="blue", device=f"GPU-{number}h",
            card="H100-80GB", values=IDLE,
        )  # fmt: skip
    report = fleet.report()
    assert hours(report.bill) == {"used": 168, "idle": 672}
    assert (report.bill.unpriced_gpu_s, report.bill.unpriced_idle_gpu_h) == (672 * 3600, 672)
    assert {one.team: (one.cost_usd, one.unpriced_gpu_h) for one in report.teams} == {
        "red": (pytest.approx(672), 0.0),
        "blue": (None, 672.0),
    }
    assert headline(report).startswith("672\u00a0GPU-h were idle")
    assert "80\u00a0% of the capacity; 672\u00a0GPU-h have no price" in headline(report)
    views = [view.replace("\u00a0", " ") for view in (render_html(report), render_markdown(report))]
    assert all("672 GPU-h have no price" in view for view in views)
    assert "| blue | 1 | unknown | unknown |" in render_markdown(report)


def test_a_price_of_0_is_no_missing_price(fleet):
    fleet.node("a1")
    fleet.deployment("w")
    fleet.pod("w-0", "a1", hours=(0, WEEK_H), owner="w", values=IDLE)
    report = fleet.report(prices="gpu_type,capacity_type,usd_per_gpu_h\nA100-80GB,on-demand,0\n")
    assert (report.bill.idle_usd, report.bill.unpriced_gpu_s) == (0.0, 0.0)
    assert report.teams[0].cost_usd == 0.0


def test_the_views_name_the_time_that_nobody_measured(fleet):
    fleet.node("a1", gpus=2)
    fleet.deployment("w")
    fleet.deployment("x")
    fleet.pod("w-0", "a1", hours=(0, WEEK_H), owner="w")
    fleet.pod("x-0", "a1", hours=None, owner="x", started_h=0)
    report = fleet.report()
    assert headline(report).endswith("; 50\u00a0% of the time is unknown")
    assert "unknown: nobody measured it | $672 | 50 %" in render_markdown(report)
    assert 'class="unknown"' in render_html(report)
    assert report.days[0].unknown_gpu_h == 24


def test_a_node_that_is_gone_keeps_its_capacity_type_price_and_free_time(fleet, tmp_path):
    """s1 (2 spot GPUs at $1) was seen on Thursday 00:00 and is gone; one of its GPUs was used, the other was free."""
    ledger = tmp_path / "ledger.db"
    fleet.node("a1")
    fleet.node("s0", capacity="spot")
    fleet.deployment("w")
    fleet.pod("w-5d4f8c7b9-zz222", "s1", hours=(0, 72), device="GPU-2")
    fleet.pod("w-5d4f8c7b9-zzzzz", "a1", hours=(0, WEEK_H), owner="w")
    before = list(fleet.objects)
    fleet.node("s1", gpus=2, capacity="spot")
    fleet.report(hours=72, ledger=ledger, run=True)
    fleet.objects = before
    report = fleet.report(ledger=ledger)
    assert hours(report.bill) == {"used": 168 + 72, "unallocated": 168 + 72}
    assert report.bill.used_usd == pytest.approx(168 * 4 + 72)
    assert report.bill.unallocated_usd == pytest.approx(168 + 72)
    assert report.bill.unpriced_gpu_s == 0


def test_a_node_that_was_created_again_under_its_name_has_both_lives(fleet, tmp_path):
    """a1 was seen until hour 48 and exists again since hour 96: 48 h and 72 h, never the time between."""
    ledger = tmp_path / "ledger.db"
    fleet.node("b1")
    fleet.deployment("w")
    fleet.pod("w-0", "b1", hours=(0, WEEK_H), owner="w")
    before = list(fleet.objects)
    fleet.node("a1", created_h=-100)
    fleet.report(hours=48, ledger=ledger, run=True)
    fleet.objects = before
    fleet.node("a1", created_h=96)
    assert hours(fleet.report(ledger=ledger).bill) == {"used": 168, "unallocated": 48 + 72}


def test_a_card_whose_rows_name_no_node_is_on_the_node_of_its_other_rows(fleet):
    """Until hour 60 the rows of a deleted pod name no node; later rows of the same GPU do: 168 h, not 228 h."""
    fleet.node("a1")
    fleet.deployment("w")
    fleet.pod("w-5d4f8c7b9-zz222", "", hours=(0, 60))
    fleet.pod("w-5d4f8c7b9-zzzzz", "a1", hours=(60, WEEK_H), owner="w")
    report = fleet.report()
    assert hours(report.bill) == {"used": 168}
    assert report.bill.used_usd == pytest.approx(672)


def test_a_report_names_the_prices_of_its_savings_if_the_bill_has_others(fleet, tmp_path):
    """The scan was made at $4, the report is made at $2: the savings are still those of the scan, and it says so."""
    ledger = tmp_path / "ledger.db"
    fleet.node("a1")
    fleet.deployment("w")
    fleet.pod("w-0", "a1", hours=(0, WEEK_H), owner="w", values=IDLE)
    fleet.report(ledger=ledger, run=True)
    same, other = (
        fleet.report(ledger=ledger, week=True, prices=PRICES.replace("on-demand,4", price))
        for price in ("on-demand,4", "on-demand,2")
    )
    assert same.predicted_usd_month == other.predicted_usd_month > 0
    assert not any("savings were computed" in note for note in same.quality.notes)
    assert any("savings were computed" in note for note in other.quality.notes)


def test_what_is_undone_in_a_later_week_is_an_action_of_that_week(fleet, tmp_path):
    """Both were applied in the week before; one was undone on Tuesday."""
    path = tmp_path / "ledger.db"
    with SqliteLedger(path) as ledger:
        for number in (1, 2):
            ref = WorkloadRef("red", "Deployment", f"w{number}", "u")
            order = Command(f"a-{number}", f"r-{number}", ref, ScaleTo(0), "policy")
            ledger.record_intent(Intent(order, at(-50), "7", {}, {}), limits=[Limit(FLEET, 10, 3600)])
            ledger.record_outcome(Outcome(f"a-{number}", at(-49), OutcomeStatus.APPLIED, None, ""))
        ledger.record_outcome(Outcome("a-1", at(30), OutcomeStatus.UNDONE, None, ""))
    fleet.node("a1")
    report = fleet.report(ledger=path, week=True)
    assert [(one.intent.command.id, one.outcome.status) for one in report.actions] == [("a-1", OutcomeStatus.UNDONE)]
    assert report.applied_usd_month == 0.0


def test_the_headline_names_the_time_without_a_price_also_where_nothing_was_idle(fleet):
    fleet.node("a1")
    fleet.node("h1", gpus=4, card="H100-80GB")
    fleet.deployment("w")
    fleet.pod("w-0", "a1", hours=(0, WEEK_H), owner="w")
    assert headline(fleet.report()).endswith("; 672\u00a0GPU-h have no price")


@pytest.mark.parametrize(
    ("namespaces", "selector", "used"), [(("red",), "", 120), (("blue",), "", 0), (("red",), "team=red", 0)]
)
def test_a_namespace_is_selected_with_its_deleted_workloads(fleet, namespaces, selector, used):
    """A Job of red had a card for 120 h and was deleted; its labels are not known."""
    fleet.node("a1")
    fleet.pod("train-x7k2p", "a1", hours=(0, 120))
    report = fleet.report(select=Selection(namespaces, selector).of)
    assert report.bill.used_gpu_s / 3600 == used
    assert report.bill.capacity_gpu_s == report.bill.used_gpu_s


def test_of_the_time_without_a_price_the_idle_part_is_counted_alone(fleet):
    """An H100 is idle and three are free, all without a price: 168 of 672 h were idle."""
    fleet.node("h1", gpus=4, card="H100-80GB")
    fleet.deployment("w")
    fleet.pod("w-0", "h1", hours=(0, WEEK_H), owner="w", card="H100-80GB", values=IDLE)
    bill = fleet.report().bill
    assert (bill.unpriced_gpu_s / 3600, bill.unpriced_idle_gpu_h) == (672, 168)


def test_a_gone_node_of_a_card_without_any_price_has_no_range(fleet):
    fleet.node("a1")
    fleet.deployment("w")
    fleet.pod("w-5d4f8c7b9-zz222", "h9", hours=(0, 50), card="H100-80GB")
    assert any(note.endswith("h9. They have no price.") for note in fleet.report().quality.notes)
