"""Advice for waiting pods."""

from dataclasses import replace

from tests.fleet import inventory, node, pod, workload
from tests.series import WORKLOAD

from gpuwise.model.recommendation import Blocked, Reason
from gpuwise.recommend.placement.advise import Advice, advise


def waiting(name, gpus):
    return workload(replace(WORKLOAD, name=name, uid=name), gpus, pods=(pod(f"{name}-0", on=None),))


def test_the_fullest_node_with_room_is_advised_and_the_largest_is_first():
    busy = workload(replace(WORKLOAD, name="busy", uid="busy"), 5, pods=(pod("busy-0", on="node-1"),))
    fleet = inventory(busy, waiting("small", 2), waiting("large", 8), nodes=[node("node-0"), node("node-1")])
    found = list(advise(fleet))
    assert [(one.pod, one.node, one.left) for one in found] == [("large-0", "node-0", 0), ("small-0", "node-1", 1)]


def test_where_nothing_fits_or_nothing_is_known_it_says_so():
    unknown = replace(waiting("unknown", 1), request=None)
    found = list(advise(inventory(waiting("large", 9), unknown)))
    assert [one.reason for one in found if isinstance(one, Blocked)] == [Reason.WELL_PACKED, Reason.INSUFFICIENT_DATA]


def test_no_advice_is_given_twice_for_one_gpu():
    found = list(advise(inventory(waiting("a", 5), waiting("b", 5))))
    assert [type(one) for one in found] == [Advice, Blocked]
