"""InterruptibleOnDemand: what may be interrupted moves to spot."""

import pytest
from tests.cases import WEEK, case, reason
from tests.fleet import node, pod, workload
from tests.series import device, usage

from gpuwise.model.changes import MoveToSpot
from gpuwise.model.inventory import CapacityType
from gpuwise.model.labels import CHECKPOINTED
from gpuwise.model.reasons import Reason
from gpuwise.recommend.methods.interruptible_on_demand import spot_move

SPOT_NODES = (node(), node("spot-0", capacity=CapacityType.SPOT))


def test_checkpointed_work_moves():
    subject = workload(annotations={CHECKPOINTED: "true"})
    found = spot_move(case(usage(device(WEEK, busy=range(WEEK))), subject, nodes=SPOT_NODES))
    assert found.change == MoveToSpot()
    assert found.saving.high_usd_month == pytest.approx(2.0 * 730)
    lost = next(e.value for e in found.evidence if e.statistic == "expected")
    assert 0.003 < lost < 0.03
    assert found.saving.usd_month == pytest.approx((3.0 - 1.0 - lost) * 730)
    assert found.saving.low_usd_month == pytest.approx((3.0 - 1.2 - lost) * 730)


def test_a_gang_of_machines_is_stopped_by_each_and_saves_more_often():
    def told(*nodes):
        pods = tuple(pod(f"w-{i}", on=name) for i, name in enumerate(nodes))
        subject = workload(annotations={CHECKPOINTED: "true"}, pods=pods)
        around = (*(node(name) for name in nodes), node("spot-0", capacity=CapacityType.SPOT))
        found = spot_move(case(usage(device(WEEK, busy=range(WEEK))), subject, nodes=around))
        return {e.statistic: e.value for e in found.evidence}

    one, four = told("a"), told("a", "b", "c", "d")
    assert four["count"] == 4
    assert four["expected"] > one["expected"]
    # Young's formula goes with the root of the life, Daly's nearly so.
    assert four["optimum"] == pytest.approx(one["optimum"] / 2, rel=0.02)


@pytest.mark.parametrize("word", ["True", "yes", "1", "false", ""])
def test_i22_any_other_word_is_not_checkpointed(word):
    subject = workload(annotations={CHECKPOINTED: word})
    found = spot_move(case(usage(device(WEEK, busy=range(WEEK))), subject, nodes=SPOT_NODES))
    assert reason(found) is Reason.NOT_INTERRUPTIBLE


def test_i22_a_single_replica_does_not_move():
    found = spot_move(case(usage(device(WEEK, busy=range(WEEK))), nodes=SPOT_NODES))
    assert reason(found) is Reason.NOT_INTERRUPTIBLE


def test_without_spot_nodes_there_is_nowhere_to_go():
    subject = workload(pods=(pod("a"), pod("b")))
    assert reason(spot_move(case(usage(device(WEEK, busy=[0])), subject))) is Reason.NO_SPOT_CAPACITY


def test_what_is_paid_for_in_advance_stays():
    subject = workload(pods=(pod("a"), pod("b")))
    found = spot_move(case(usage(device(WEEK)), subject, nodes=[node(capacity=CapacityType.RESERVED)]))
    assert reason(found) is Reason.PAID_IN_ADVANCE


def test_what_is_on_spot_stays():
    subject = workload(pods=(pod("a", on="spot-0"), pod("b", on="spot-0")))
    found = spot_move(case(usage(device(WEEK)), subject, nodes=SPOT_NODES))
    assert reason(found) is Reason.ALREADY_SPOT
