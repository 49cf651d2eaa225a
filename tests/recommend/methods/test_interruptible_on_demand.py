"""InterruptibleOnDemand: interruptible workloads move to spot."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.cases import WEEK, case, mixed_fleet_case, reason
from tests.fleet import PRICES, node, pod, workload
from tests.series import device, usage

from gpuwise.model.changes import MoveToSpot
from gpuwise.model.inventory import CapacityType
from gpuwise.model.labels import CHECKPOINTED
from gpuwise.model.reasons import Reason
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
