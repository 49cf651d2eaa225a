"""The cost of a week: conservation, bounds, and the difference between zero, missing and nothing."""

import dataclasses
import math
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuwise.finops import (
    Period,
    applied_usd_month,
    bill,
    compile_report,
    cost_by_team,
    cost_by_workload,
    fleet_days,
    realised_usd_month,
    still_there,
)
from gpuwise.finops.hours import hours_of_week
from gpuwise.finops.parts import parts_of
from gpuwise.finops.teams import every_team
from gpuwise.model.billed import BilledUse
from gpuwise.model.changes import MoveToOnDemand, MoveToSpot, Resize, ScaleTo
from gpuwise.model.command import ENACTABLE, Command, Intent, Outcome, OutcomeStatus
from gpuwise.model.findings import Finding
from gpuwise.model.gpu import named
from gpuwise.model.inventory import (
    CapacityType,
    GpuRequest,
    Inventory,
    Namespace,
    Node,
    Pod,
    Workload,
    WorkloadClass,
    WorkloadRef,
    node_ref,
)
from gpuwise.model.price import PriceBook
from gpuwise.model.profile import Bottleneck, DayUse, Limit
from gpuwise.model.recommendation import Recommendation, Saving
from gpuwise.model.report import Action
from gpuwise.model.signal import Signal
from gpuwise.model.usage import DAY_S, Window

MONDAY = 1_794_787_200  # 2026-11-16
NEXT = MONDAY + 7 * DAY_S
PRICES = PriceBook(
    {
        ("H100-80GB", CapacityType.ON_DEMAND): 6.88,
        ("H100-80GB", CapacityType.SPOT): 3.30,
        ("T4", CapacityType.ON_DEMAND): 0.978,
    },
    "test prices",
)


def node(name: str, gpu: str | None, capacity: CapacityType | None = CapacityType.ON_DEMAND, gpus: int = 8) -> Node:
    return Node(name, named(gpu) if gpu else None, gpu or "Unknown 3000", gpus, {}, capacity, None)


def workload(name: str, nodes: tuple[str, ...], *, team: str | None = None, namespace: str = "apps") -> Workload:
    pods = tuple(Pod(f"{name}-{index}", f"u{index}", at, "Running", True, 0) for index, at in enumerate(nodes))
    labels = {"team": team} if team else {}
    ref = WorkloadRef(namespace, "Deployment", name, f"uid-{name}")
    return Workload(ref, WorkloadClass.ENDPOINT, len(pods), None, labels, {}, pods, 0)


def used(
    ref: WorkloadRef,
    days: list[tuple[float, float]],
    gpu: str = "H100-80GB",
    coverage: float = 1.0,
    nodes: tuple[str, ...] = ("h0",),
):
    """Allocated and idle hours by day, in equal parts on each node."""
    gpu_type = None if gpu == "unknown" else gpu
    uses = tuple(
        DayUse(
            MONDAY + index * DAY_S,
            on,
            gpu_type,
            allocated * 3600 / len(nodes),
            idle * 3600 / len(nodes),
            (allocated - idle) * 3600 / len(nodes),
        )
        for index, (allocated, idle) in enumerate(days)
        for on in nodes
        if allocated
    )
    return BilledUse(
        workload=ref,
        window=Window(MONDAY, NEXT, 60),
        allocated_gpu_s=sum(use.allocated_gpu_s for use in uses),
        days=uses,
        coverage={Signal.SM_ACTIVITY: coverage},
        activity=None,
        bottleneck=Bottleneck(Limit.UNKNOWN, 0.0, {}),
        next_use_s=None,
        dropped_samples=0,
        sampled_gpu_s={MONDAY + index * DAY_S: hours * 3600 for index, (hours, _) in enumerate(days) if hours},
    )


def outside(one: Node, hours: list[float]) -> BilledUse:
    """A node's unallocated devices: at work for the given hours of each day, and measured for twice as many."""
    return used(node_ref(one), [(2 * active, active) for active in hours], nodes=(one.name,))


def week(
    nodes: list[Node],
    pairs: list[tuple[Workload, BilledUse]],
    *,
    now_s: int = NEXT,
    prices=PRICES,
    at_work: dict[str, list[float]] | None = None,
) -> Period:
    inventory = Inventory(
        now_s,
        {one.name: one for one in nodes},
        tuple(one for one, _ in pairs),
        {"apps": Namespace("apps", {"team": "platform"}, {})},
    )
    every = [usage for _, usage in pairs] + [outside(one, (at_work or {}).get(one.name, [])) for one in nodes]
    billed = {usage.workload: usage for usage in every}
    return Period(inventory, billed, prices, MONDAY, NEXT, now_s)


def recommendation(number: int, ref: WorkloadRef, usd: float, owner: str | None = None) -> Recommendation:
    return Recommendation(
        f"r-{number}", ref, owner, Finding.IDLE, (), ScaleTo(0), Saving(usd, usd, usd, 1.0), 0, 1.0, 1.0, (), False,
        True, "Low", MONDAY, NEXT, "e",
    )  # fmt: skip


def action(number: int, status: OutcomeStatus | None, usd: float | None) -> Action:
    ref = WorkloadRef("apps", "Deployment", f"w{number}", "u")
    intent = Intent(Command(f"a-{number}", f"r-{number}", ref, ScaleTo(0), "policy"), MONDAY, "1", {}, {})
    outcome = None if status is None else Outcome(f"a-{number}", MONDAY, status, None, "")
    return Action(intent, outcome, None if usd is None else recommendation(number, ref, usd))


day_use = st.floats(0, 192).flatmap(lambda allocated: st.tuples(st.just(allocated), st.floats(0, allocated)))


@st.composite
def weeks(draw) -> Period:
    nodes = [
        node("h0", "H100-80GB"),
        node("h1", "H100-80GB", CapacityType.SPOT),
        node("t0", "T4", None),
        node("x0", None),
    ][: draw(st.integers(1, 4))]
    pairs = []
    for index in range(draw(st.integers(0, 5))):
        at = tuple(draw(st.lists(st.sampled_from(["h0", "h1", "t0", "x0", "gone"]), max_size=3)))
        one = workload(f"w{index}", at, team=draw(st.sampled_from([None, "a", "b"])))
        days = draw(st.lists(day_use, max_size=7))
        pairs.append(
            (one, used(one.ref, days, draw(st.sampled_from(["H100-80GB", "T4", "unknown"])), nodes=at or ("gone",)))
        )
    at_work = {
        one.name: draw(st.lists(st.floats(0, 250), max_size=7)) for one in nodes if draw(st.booleans())
    }  # hours at work per day, sometimes more than the node has
    return week(nodes, pairs, now_s=draw(st.integers(MONDAY, NEXT + DAY_S)), at_work=at_work)


@settings(max_examples=150, deadline=None)
@given(weeks())
def test_six_classes_sum_to_the_capacity_exactly(one):
    total = bill(one)
    names = ("used", "idle", "outside", "unallocated", "unknown", "stranded")
    assert sum(getattr(total, f"{name}_gpu_s") for name in names) == total.capacity_gpu_s
    assert sum(getattr(total, f"{name}_usd") for name in names) == total.capacity_usd
    for name in (*names, "unpriced"):
        assert getattr(total, f"{name}_gpu_s") >= -1e-6


@settings(max_examples=100, deadline=None)
@given(weeks())
def test_use_outside_kubernetes_reduces_only_the_unallocated_time(one):
    """Allocations of pods come first; use outside Kubernetes is at most what they leave."""
    pods = {ref: usage for ref, usage in one.billed.items() if ref.kind != "Node"}
    without, total = bill(dataclasses.replace(one, billed=pods | _nothing(one))), bill(one)
    assert without.outside_gpu_s == 0.0
    assert (without.used_gpu_s, without.idle_gpu_s) == (total.used_gpu_s, total.idle_gpu_s)
    assert math.isclose(
        without.unallocated_gpu_s + without.unknown_gpu_s,
        total.outside_gpu_s + total.unallocated_gpu_s + total.unknown_gpu_s,
        rel_tol=1e-9,
        abs_tol=1e-3,
    )


def _nothing(one: Period) -> dict[WorkloadRef, BilledUse]:
    return {node_ref(at): outside(at, []) for at in one.inventory.nodes.values()}


def test_work_outside_kubernetes_is_counted_apart_from_unallocated_time():
    total = bill(week([node("h0", "H100-80GB", gpus=2)], [], at_work={"h0": [24.0, 10.0]}))
    assert total.outside_gpu_s == 34 * 3600
    assert total.outside_usd == pytest.approx(34 * 6.88)
    assert total.unallocated_gpu_s == (2 * 7 * 24 - 34) * 3600


def test_use_outside_kubernetes_counts_on_its_own_node_only():
    """Use outside Kubernetes on a fully allocated node does not count as use of an empty node."""
    full = workload("w", ("h0",))
    nodes = [node("h0", "H100-80GB", gpus=1), node("h1", "H100-80GB", gpus=1)]
    total = bill(week(nodes, [(full, used(full.ref, [(24, 0)]))], at_work={"h0": [5.0]}))
    assert (total.used_gpu_s, total.outside_gpu_s) == (24 * 3600, 0.0)


@settings(max_examples=150, deadline=None)
@given(weeks())
def test_days_workloads_and_teams_sum_to_the_bill(one):
    total, days = bill(one), fleet_days(one)
    for name in ("used", "idle", "outside", "unallocated", "unknown", "stranded"):
        hours = sum(getattr(day, f"{name}_gpu_h") for day in days)
        assert math.isclose(hours * 3600, getattr(total, f"{name}_gpu_s"), rel_tol=1e-9, abs_tol=1e-3)
    costs, teams = cost_by_workload(one), cost_by_team(one, [])
    assert math.isclose(sum(cost.idle_gpu_h for cost in costs) * 3600, total.idle_gpu_s, rel_tol=1e-9, abs_tol=1e-3)
    for field in ("allocated_gpu_h", "idle_gpu_h", "cost_usd", "idle_usd"):
        per_team = sum(getattr(team, field) or 0.0 for team in teams)
        per_workload = sum(getattr(cost, field) or 0.0 for cost in costs)
        assert math.isclose(per_team, per_workload, rel_tol=1e-9, abs_tol=1e-6)
    assert sum(team.workloads for team in teams) == len(costs)


@settings(max_examples=100, deadline=None)
@given(weeks(), st.integers(0, 5))
def test_selections_share_the_allocated_time_and_have_no_unallocated_time(one, cut):
    total = bill(one)
    parts = []
    for chosen in (one.inventory.workloads[:cut], one.inventory.workloads[cut:]):
        inventory = dataclasses.replace(one.inventory, workloads=chosen)
        part = bill(dataclasses.replace(one, inventory=inventory, selection="some"))
        assert (part.outside_gpu_s, part.unallocated_gpu_s, part.unallocated_usd) == (0.0, 0.0, 0.0)
        parts.append(part)
    for name in ("used_gpu_s", "idle_gpu_s", "used_usd", "idle_usd"):
        shared = sum(getattr(part, name) for part in parts)
        assert math.isclose(shared, getattr(total, name), rel_tol=1e-9, abs_tol=1e-3)


def hour(at_s: int) -> int:
    return at_s // 3_600 % 168


@settings(max_examples=100, deadline=None)
@given(weeks())
def test_the_part_of_a_team_in_another_process_is_its_selection_and_all_parts_sum_to_the_teams(one):
    members = every_team(one.inventory, one.tags)
    parts = pickle.loads(pickle.dumps(parts_of(one, {f"team {name}": of for name, of in members.items()})))
    teams = {row.team: row for row in cost_by_team(one, [])}
    for name, of in members.items():
        chosen = dataclasses.replace(one.inventory, workloads=tuple(of.workloads))
        alone = dataclasses.replace(
            one, inventory=chosen, selection=f"team {name}", deleted_in=frozenset(of.namespaces)
        )
        part = parts[f"team {name}"]
        assert bill(part) == bill(alone)
        assert (fleet_days(part), cost_by_workload(part)) == (fleet_days(alone), cost_by_workload(alone))
        assert cost_by_team(part, []) == ((teams[name],) if name in teams else ())
        assert hours_of_week(part, hour) == hours_of_week(alone, hour)
    assert {name for name in teams if name is not None} <= set(members)


@settings(max_examples=60, deadline=None)
@given(weeks())
def test_priced_and_unpriced_time_sum_to_the_capacity(one):
    total = bill(one)
    free = PriceBook(dict.fromkeys(PRICES.usd_per_gpu_h, 1.0), "one dollar")
    dollars = bill(Period(one.inventory, one.billed, free, one.start_s, one.end_s, one.now_s))
    assert math.isclose(
        dollars.capacity_usd * 3600 + dollars.unpriced_gpu_s, total.capacity_gpu_s, rel_tol=1e-9, abs_tol=1e-3
    )


def test_capacity_is_the_nodes_gpus_over_the_week():
    total = bill(week([node("h0", "H100-80GB"), node("t0", "T4", gpus=4)], []))
    assert total.capacity_gpu_s == total.unknown_gpu_s == 12 * 7 * DAY_S  # nothing was ever sampled
    assert total.capacity_usd == pytest.approx(7 * 24 * (8 * 6.88 + 4 * 0.978))


def test_a_rounding_error_of_shares_is_no_unknown_time():
    """Three pods that divide a card have 23.99999999999 h of its day: nothing is left that nobody measured."""
    one = workload("w", ("h0",))
    full = week([node("h0", "H100-80GB", gpus=1)], [(one, used(one.ref, [(24 * (1 - 1e-12), 0)] * 7))])
    assert (bill(full).unknown_gpu_s, bill(full).unallocated_gpu_s) == (0.0, 0.0)


def test_idle_time_is_priced_by_its_node():
    spot = workload("cheap", ("h1",))
    mixed = workload("mixed", ("h0", "h1", "h1"))
    nodes = [node("h0", "H100-80GB"), node("h1", "H100-80GB", CapacityType.SPOT)]
    costs = {
        cost.workload: cost
        for cost in cost_by_workload(
            week(
                nodes,
                [
                    (spot, used(spot.ref, [(24, 12)], nodes=("h1",))),
                    (mixed, used(mixed.ref, [(24, 24)], nodes=("h0", "h1", "h1"))),
                ],
            )
        )
    }
    assert costs[str(spot.ref)].idle_usd == pytest.approx(12 * 3.30)
    assert costs[str(mixed.ref)].cost_usd == pytest.approx(24 * (6.88 + 2 * 3.30) / 3)
    assert costs[str(mixed.ref)].gpu_type == "H100-80GB"


def test_more_idle_time_only_moves_money_from_used_to_idle():
    one = workload("w", ("h0",))
    less, more = (bill(week([node("h0", "H100-80GB")], [(one, used(one.ref, [(24, idle)]))])) for idle in (3, 9))
    assert more.idle_usd > less.idle_usd
    assert more.capacity_usd == pytest.approx(less.capacity_usd)
    assert more.unallocated_usd == less.unallocated_usd


def test_an_unknown_price_is_never_zero_dollars():
    one = workload("w", ("x0",))
    lone = week([node("x0", None)], [(one, used(one.ref, [(24, 24)], "unknown", nodes=("x0",)))])
    [cost] = cost_by_workload(lone)
    assert (cost.cost_usd, cost.idle_usd, cost.gpu_type) == (None, None, None)
    assert cost.idle_gpu_h == 24
    total = bill(lone)
    assert total.unpriced_gpu_s == total.capacity_gpu_s == 8 * 7 * DAY_S
    report = compile_report(lone, name=None, recommendations=[], blocked=[], actions=[], cluster="c")
    assert report.quality.unpriced == 1


def test_use_of_a_removed_node_still_counts():
    one = workload("w", ())
    total = bill(week([node("h0", "H100-80GB", gpus=1)], [(one, used(one.ref, [(48, 0)], nodes=("gone",)))]))
    assert total.unallocated_gpu_s == 7 * DAY_S
    assert total.used_gpu_s == 48 * 3600
    assert total.capacity_gpu_s == 7 * DAY_S + 48 * 3600


def test_a_week_in_progress_is_counted_up_to_now_with_a_note():
    half = week([node("h0", "H100-80GB")], [], now_s=MONDAY + 3 * DAY_S + DAY_S // 2)
    assert bill(half).capacity_gpu_s == 8 * 3.5 * DAY_S
    assert len(fleet_days(half)) == 4
    report = compile_report(half, name=None, recommendations=[], blocked=[], actions=[], cluster="c")
    assert "Only 3.5 of 7 days" in report.quality.notes[0]
    assert report.quality.coverage is None


def test_days_outside_the_week_are_not_counted():
    one = workload("w", ("h0",))
    usage = used(one.ref, [(24, 24)] * 7)
    shifted = Period(
        week([node("h0", "H100-80GB")], [(one, usage)]).inventory, {one.ref: usage}, PRICES,
        MONDAY - 5 * DAY_S, MONDAY + 2 * DAY_S, NEXT,
    )  # fmt: skip
    assert bill(shifted).idle_gpu_s == 2 * 24 * 3600


def test_the_workloads_team_label_overrides_its_namespaces():
    mine, theirs, nobody = (
        workload("m", ("h0",), team="vision"),
        workload("t", ("h0",)),
        workload("n", ("h0",), namespace="x"),
    )
    pairs = [(one, used(one.ref, [(1, 0)])) for one in (mine, theirs, nobody)]
    teams = cost_by_team(week([node("h0", "H100-80GB")], pairs), [recommendation(1, mine.ref, 7.0, "vision")])
    assert {team.team for team in teams} == {"vision", "platform", None}
    assert {team.team: team.saving_usd_month for team in teams}["vision"] == 7.0


def test_realised_savings_count_each_applied_and_not_undone_command_once():
    actions = [
        action(1, OutcomeStatus.APPLIED, 100.0),
        action(1, OutcomeStatus.APPLIED, 100.0),
        action(2, OutcomeStatus.APPLIED, 50.0),
        action(2, OutcomeStatus.UNDONE, 50.0),
        action(3, OutcomeStatus.FAILED, 30.0),
        action(4, OutcomeStatus.WOULD_APPLY, 20.0),
        action(5, None, 10.0),
        action(6, OutcomeStatus.APPLIED, None),
    ]
    assert applied_usd_month(actions) == applied_usd_month(actions[::-1]) == 100.0
    assert applied_usd_month([]) == 0.0
    assert realised_usd_month(actions) == 0.0
    assert realised_usd_month([dataclasses.replace(one, verified=True) for one in actions]) == 100.0


@pytest.mark.parametrize(
    ("replicas", "there"),
    [(0, True), (1, False), (None, False)],
)
def test_a_change_is_realised_while_the_cluster_shows_it(replicas, there):
    """Scaled to 0 on Monday: not realised before it was seen, nor after a person scaled it up again."""
    done = action(1, OutcomeStatus.APPLIED, 100.0)
    one = dataclasses.replace(workload("w1", ()), ref=done.intent.command.workload, replicas=replicas)
    assert still_there(done.intent, done.outcome, Inventory(MONDAY, {}, (one,), {})) is there
    assert not still_there(done.intent, None, Inventory(MONDAY, {}, (one,), {}))
    assert not still_there(done.intent, done.outcome, Inventory(MONDAY, {}, (), {}))


def changed(change, kind: str = "Deployment") -> Action:
    """The action of a change that was applied to w1."""
    ref = WorkloadRef("apps", kind, "w1", "u")
    outcome = Outcome("a-1", MONDAY, OutcomeStatus.APPLIED, None, "")
    return Action(Intent(Command("a-1", "r-1", ref, change, "policy"), MONDAY, "1", {}, {}), outcome, None)


ONE, SLICE = GpuRequest("nvidia.com/gpu", 1), GpuRequest("nvidia.com/mig-1g.10gb", 1)
S0, D0 = node("s0", "T4", CapacityType.SPOT), node("d0", "T4")


@pytest.mark.parametrize(
    ("nodes", "there"),
    [
        (("s0", "s0"), True),
        (("s0", "d0"), False),  # one replica fell back to an on-demand node
        (("d0",), False),
        (("elsewhere",), False),
        ((), False),  # nothing runs that could show it
    ],
)
def test_a_move_to_spot_is_realised_while_all_its_pods_are_on_spot_nodes(nodes, there):
    done = changed(MoveToSpot())
    one = dataclasses.replace(workload("w1", nodes), ref=done.intent.command.workload)
    fleet = Inventory(MONDAY, {"s0": S0, "d0": D0}, (one,), {})
    assert still_there(done.intent, done.outcome, fleet) is there


def test_pods_that_ended_do_not_show_where_a_workload_runs():
    done = changed(MoveToSpot())
    one = dataclasses.replace(workload("w1", ("s0", "d0")), ref=done.intent.command.workload)
    on_spot, ended = one.pods
    one = dataclasses.replace(one, pods=(on_spot, dataclasses.replace(ended, phase="Succeeded")))
    assert still_there(done.intent, done.outcome, Inventory(MONDAY, {"s0": S0, "d0": D0}, (one,), {}))


SHOWN = {
    "ScaleTo": (ScaleTo(0), {"replicas": 0}, {"replicas": 1}),
    "Resize": (Resize(ONE, SLICE), {"request": SLICE}, {"request": ONE}),
    "MoveToOnDemand": (
        MoveToOnDemand(),
        {"pods": workload("w1", ("d0",)).pods},
        {"pods": workload("w1", ("s0",)).pods},
    ),
    "MoveToSpot": (MoveToSpot(), {"pods": workload("w1", ("s0",)).pods}, {"pods": workload("w1", ("d0",)).pods}),
}


@pytest.mark.parametrize(
    ("change", "kind"), [(one, kind) for one in sorted(ENACTABLE) for kind in sorted(ENACTABLE[one])]
)
def test_each_change_that_gpuwise_writes_can_be_verified(change, kind):
    made, after, before = SHOWN[change]
    done = changed(made, kind)
    for shown, there in ((after, True), (before, False)):
        one = dataclasses.replace(workload("w1", ()), ref=done.intent.command.workload, **shown)
        assert still_there(done.intent, done.outcome, Inventory(MONDAY, {"s0": S0, "d0": D0}, (one,), {})) is there


def test_the_report_sorts_by_saving_and_adds_up_the_predicted_savings():
    one = workload("w", ("h0",), team="a")
    items = [recommendation(index, one.ref, usd, "a") for index, usd in enumerate((5.0, 50.0, 20.0))]
    report = compile_report(
        week([node("h0", "H100-80GB")], [(one, used(one.ref, [(24, 12)] * 7, coverage=0.8))]),
        name="2026-W47",
        recommendations=items,
        blocked=[],
        actions=[],
        cluster="c",
    )
    assert [one.saving.usd_month for one in report.recommendations] == [50.0, 20.0, 5.0]
    assert report.predicted_usd_month == 75.0
    assert report.week == "2026-W47"
    assert report.quality.coverage == pytest.approx(0.8)
    assert "sampled 80%" in report.quality.notes[0]


def test_the_notes_name_accelerators_that_are_not_measured():
    current = week([node("h0", "H100-80GB")], [])
    mixed = dataclasses.replace(current.inventory, not_measured={"amd.com/gpu": ("m0", "m1")})
    period = dataclasses.replace(current, inventory=mixed)
    notes = compile_report(period, name=None, recommendations=[], blocked=[], actions=[], cluster="c").quality.notes
    assert any(note.startswith("amd.com/gpu on 2 nodes is not measured") for note in notes)


def test_a_vgpu_is_a_part_of_a_card_in_the_bill():
    one = workload("w", ("h0",))
    usage = used(one.ref, [(0, 0)] * 7)
    nodes = node("h0", "L40S"), dataclasses.replace(node("h0", "L40S"), gpu_fraction=0.25)
    reports = (
        compile_report(week([each], [(one, usage)]), name=None, recommendations=[], blocked=[], actions=[], cluster="c")
        for each in nodes
    )
    whole, part = (report.bill.capacity_gpu_s for report in reports)
    assert whole == 4 * part > 0.0


def test_the_notes_mention_dropped_values_and_an_old_inventory():
    one = workload("w", ("h0",))
    usage = dataclasses.replace(used(one.ref, [(24, 0)] * 7), dropped_samples=1200)
    current = week([node("h0", "H100-80GB")], [(one, usage)])
    old = dataclasses.replace(current, inventory=dataclasses.replace(current.inventory, taken_s=NEXT - 2 * 3600))
    fresh, stale = (
        compile_report(period, name=None, recommendations=[], blocked=[], actions=[], cluster="c").quality.notes
        for period in (current, old)
    )
    assert any(note.startswith("1,200 impossible values") for note in fresh)
    assert not any("older than this report" in note for note in fresh)
    assert any("2.0 h older than this report" in note for note in stale)


def test_without_samples_a_card_is_free_only_where_the_source_lists_every_allocation():
    """Two nodes of one card, 7 days: h0 was used for a day, nothing of h1 was ever sampled.

    A recording has a file for each pod, so h1 is free. Prometheus has only what an exporter measured: it is unknown.
    """
    one = workload("w", ("h0",))
    nodes = [node("h0", "H100-80GB", gpus=1), node("h1", "H100-80GB", gpus=1)]
    recorded = week(nodes, [(one, used(one.ref, [(24, 0)]))])
    measured = dataclasses.replace(recorded, listed=False)
    assert (bill(recorded).unallocated_gpu_s, bill(recorded).unknown_gpu_s) == (13 * DAY_S, 0.0)
    assert (bill(measured).unallocated_gpu_s, bill(measured).unknown_gpu_s) == (0.0, 13 * DAY_S)


def test_samples_of_an_unallocated_card_show_that_it_is_free():
    """A card of h0 was sampled without a pod for 20 h of Monday, and was at work for 10 h of them."""
    one = week([node("h0", "H100-80GB", gpus=1)], [], at_work={"h0": [10.0]})
    total = bill(dataclasses.replace(one, listed=False))
    assert (total.outside_gpu_s, total.unallocated_gpu_s) == (10 * 3600, 10 * 3600)
    assert total.unknown_gpu_s == 7 * DAY_S - 20 * 3600
