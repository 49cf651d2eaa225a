"""InterruptibleOnDemand: interruptible workloads move to spot."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.cases import WEEK, case, mixed_fleet_case, reason
from tests.fleet import NOW_S, PRICES, node, pod, workload
from tests.series import device, usage

from gpuwise.model.changes import MoveToSpot
from gpuwise.model.inventory import CapacityType, WorkloadClass
from gpuwise.model.labels import CHECKPOINTED, DATA_CLASS, DEADLINE
from gpuwise.model.price import PriceBook
from gpuwise.model.reasons import Reason
from gpuwise.model.scheduling import Openness, Requirement, Scheduling
from gpuwise.recommend.methods.interruptible_on_demand import spot_move

SPOT_NODES = (node(), node("spot-0", capacity=CapacityType.SPOT))


def test_checkpointed_work_moves_to_spot():
    subject = workload(annotations={CHECKPOINTED: "true"})
    found = spot_move(case(usage(device(WEEK, busy=range(WEEK))), subject, nodes=SPOT_NODES))
    assert found.change == MoveToSpot()
    assert found.saving.high_usd_month == pytest.approx(2.0 * 730)
    lost = next(e.value for e in found.evidence if e.statistic == "expected")
    assert 0.003 < lost < 0.03
    assert found.saving.usd_month == pytest.approx((3.0 - 1.0 - lost) * 730)
    assert found.saving.low_usd_month == pytest.approx((3.0 - 1.2 - lost) * 730)


def test_work_on_several_nodes_is_interrupted_more_often_and_saves_more_checkpoints():
    def evidence(*nodes):
        pods = tuple(pod(f"w-{i}", on=name) for i, name in enumerate(nodes))
        subject = workload(annotations={CHECKPOINTED: "true"}, pods=pods)
        fleet_nodes = (*(node(name) for name in nodes), node("spot-0", capacity=CapacityType.SPOT))
        found = spot_move(case(usage(device(WEEK, busy=range(WEEK))), subject, nodes=fleet_nodes))
        return {e.statistic: e.value for e in found.evidence}

    one, four = evidence("a"), evidence("a", "b", "c", "d")
    assert four["count"] == 4
    assert four["expected"] > one["expected"]
    # Young's interval is proportional to the square root of the mean life, Daly's nearly so.
    assert four["optimum"] == pytest.approx(one["optimum"] / 2, rel=0.02)


@pytest.mark.parametrize("value", ["True", "yes", "1", "false", ""])
def test_i22_any_other_value_is_not_checkpointed(value):
    subject = workload(annotations={CHECKPOINTED: value})
    found = spot_move(case(usage(device(WEEK, busy=range(WEEK))), subject, nodes=SPOT_NODES))
    assert reason(found) is Reason.NOT_INTERRUPTIBLE


def test_i22_a_single_replica_does_not_move():
    found = spot_move(case(usage(device(WEEK, busy=range(WEEK))), nodes=SPOT_NODES))
    assert reason(found) is Reason.NOT_INTERRUPTIBLE


REPLICAS = workload(pods=(pod("a"), pod("b")))
TRAINING = workload(annotations={CHECKPOINTED: "true"})
BUSY = device(WEEK, busy=range(WEEK))
seconds = st.floats(0.0, 7_200.0)


@given(st.sampled_from([REPLICAS, TRAINING]), seconds, seconds, st.floats(0.01, 0.6))
def test_each_reclaim_costs_a_restart(subject, restart_s, later_s, reclaims):
    """Of the work on spot, the expected number of reclaims in a month times the longer restart is lost besides."""

    def usd_month(one_restart_s):
        settings = {"restart_s": one_restart_s, "spot_reclaims_month": reclaims}
        return spot_move(mixed_fleet_case(BUSY, subject, nodes=SPOT_NODES, prices=PRICES, **settings)).saving.usd_month

    expected = -math.log1p(-reclaims) * later_s / 3_600 * 1.0  # $1 an hour: the price of spot
    assert usd_month(restart_s) - usd_month(restart_s + later_s) == pytest.approx(expected, abs=1e-6)


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(["Running", "Pending", "Failed"])), min_size=1, max_size=4))
def test_i22_only_an_endpoint_with_two_ready_replicas_moves(states):
    pods = tuple(replace(pod(f"chat-{index}"), ready=ready, phase=phase) for index, (ready, phase) in enumerate(states))
    found = spot_move(case(usage(BUSY), workload(pods=pods), nodes=SPOT_NODES))
    if states.count((True, "Running")) >= 2:
        assert found.change == MoveToSpot()
    elif all(phase == "Failed" for _, phase in states):
        assert reason(found) is Reason.ALREADY_STOPPED
    else:
        assert reason(found) is Reason.NOT_INTERRUPTIBLE


def test_i22_without_spot_nodes_it_is_blocked():
    subject = workload(pods=(pod("a"), pod("b")))
    assert reason(spot_move(case(usage(device(WEEK, busy=[0])), subject))) is Reason.NO_SPOT_CAPACITY


def test_a_workload_on_reserved_nodes_stays():
    subject = workload(pods=(pod("a"), pod("b")))
    found = spot_move(case(usage(device(WEEK)), subject, nodes=[node(capacity=CapacityType.RESERVED)]))
    assert reason(found) is Reason.PAID_IN_ADVANCE


def test_a_workload_on_spot_nodes_stays():
    subject = workload(pods=(pod("a", on="spot-0"), pod("b", on="spot-0")))
    found = spot_move(case(usage(device(WEEK)), subject, nodes=SPOT_NODES))
    assert reason(found) is Reason.ALREADY_SPOT


DAY_S = 86_400
ZONES = {
    ("A100-80GB", CapacityType.SPOT, "eu-west-1", "eu-west-1a"): 1.0,
    ("A100-80GB", CapacityType.SPOT, "eu-west-1", "eu-west-1b"): 0.8,
    ("A100-80GB", CapacityType.SPOT, "us-east-1", ""): 0.5,
}
BY_ZONE = PriceBook({("A100-80GB", CapacityType.ON_DEMAND): 3.0}, "written for tests", {}, ZONES)


def spot_in(zone, *, gone=None, age_days=60, labels=None):
    """A spot node in a zone; `gone` is how many days ago it went."""
    return replace(
        node(f"spot-{zone}-{gone}", capacity=CapacityType.SPOT),
        region=zone[:-1],
        zone=zone,
        created_s=NOW_S - age_days * DAY_S,
        gone_s=None if gone is None else NOW_S - gone * DAY_S,
        openness=Openness(labels={"topology.kubernetes.io/zone": zone} | (labels or {})),
    )


def moved(*spot, prices=BY_ZONE, past=(), pods=None, **changes):
    settings = changes.pop("settings", {})
    subject = workload(annotations={CHECKPOINTED: "true"} | changes.pop("annotations", {}), pods=pods, **changes)
    made = mixed_fleet_case(BUSY, subject, nodes=(node(), *spot), prices=prices, **settings)
    return spot_move(replace(made, fleet=replace(made.fleet, past=tuple(past))))


def test_the_zone_with_the_lowest_price_is_preferred_and_the_others_are_evidence():
    found = moved(spot_in("eu-west-1a"), spot_in("eu-west-1b"))
    assert found.change == MoveToSpot("eu-west-1b")
    costs = {e.text.split(":")[0].rpartition(" ")[2]: e.value for e in found.evidence if e.statistic == "expected cost"}
    assert list(costs) == ["eu-west-1b", "eu-west-1a"]
    assert 0.8 < costs["eu-west-1b"] < costs["eu-west-1a"] < 1.1
    assert next(e.value for e in found.evidence if e.text.startswith("spot price")) == 0.8


def test_a_region_is_chosen_by_its_price_only_where_the_data_may_be():
    spot = (spot_in("eu-west-1b"), spot_in("us-east-1a"))
    assert moved(*spot).change == MoveToSpot("us-east-1a")
    settings = {"regions_by_data_class": {"voices": ("eu-west-1",)}}
    voices = {"annotations": {DATA_CLASS: "voices"}, "settings": settings}
    assert reason(moved(*spot, **voices)) is Reason.REGION_NOT_ALLOWED
    stays = Scheduling(terms=((Requirement("topology.kubernetes.io/zone", "In", ("eu-west-1b",)),),))
    assert moved(*spot, **voices, pods=(replace(pod(), scheduling=stays),)).change == MoveToSpot()
    assert reason(moved(*spot, annotations={DATA_CLASS: "other"}, settings=settings)) is Reason.NO_SPOT_CAPACITY


def test_at_one_price_the_zone_with_fewer_reclaims_is_preferred():
    past = [spot_in("eu-west-1a", gone=days) for days in range(1, 30)]
    found = moved(spot_in("eu-west-1a"), spot_in("eu-west-1b"), prices=PRICES, past=past)
    assert found.change == MoveToSpot("eu-west-1b")
    share = next(e.value for e in found.evidence if e.text.startswith("share of spot nodes"))
    assert share >= 0.2  # shrunk to all zones, and never below the setting


def test_a_few_reclaims_do_not_outweigh_a_much_lower_price():
    past = [spot_in("eu-west-1b", gone=10)]
    assert moved(spot_in("eu-west-1a"), spot_in("eu-west-1b"), past=past).change == MoveToSpot("eu-west-1b")


def test_zones_that_cost_the_same_are_not_named():
    assert moved(spot_in("eu-west-1a"), spot_in("eu-west-1b"), prices=PRICES).change == MoveToSpot()


def test_a_volume_that_is_bound_to_a_zone_excludes_the_others():
    bound = Scheduling(terms=((Requirement("topology.kubernetes.io/zone", "In", ("eu-west-1a",)),),))
    pods = (replace(pod(), scheduling=bound),)
    found = moved(spot_in("eu-west-1a"), spot_in("eu-west-1b"), pods=pods)
    assert found.change == MoveToSpot()
    assert next(e.value for e in found.evidence if e.text.startswith("spot price")) == 1.0
    assert reason(moved(spot_in("eu-west-1b"), pods=pods)) is Reason.NO_SPOT_CAPACITY


def test_an_affinity_for_on_demand_nodes_excludes_no_zone():
    off_spot = Scheduling(terms=((Requirement("karpenter.sh/capacity-type", "NotIn", ("spot",)),),))
    spot = spot_in("eu-west-1a", labels={"karpenter.sh/capacity-type": "spot"})
    assert moved(spot, pods=(replace(pod(), scheduling=off_spot),)).change == MoveToSpot()


def test_a_place_without_a_price_is_no_place():
    assert reason(moved(spot_in("ap-south-1a"))) is Reason.NO_PRICE
    assert moved(spot_in("ap-south-1a"), spot_in("eu-west-1a")).change == MoveToSpot()


def test_work_with_a_deadline_is_left_to_its_own_method():
    declares = {DEADLINE: "2026-11-30T18:00:00Z"}
    found = moved(spot_in("eu-west-1a"), annotations=declares, workload_class=WorkloadClass.TRAINING)
    assert reason(found) is Reason.NOT_APPLICABLE
    assert moved(spot_in("eu-west-1a"), annotations=declares).change == MoveToSpot()  # an endpoint does not end
