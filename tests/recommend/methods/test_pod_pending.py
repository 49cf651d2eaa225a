"""Pods that wait: where they fit, what would move for them, and why no place is named."""

from dataclasses import replace

import pytest
from tests.fleet import NOW_S, PRICES, inventory, node, pod, workload
from tests.recommend.methods.test_node_underutilised import here, kept, serving
from tests.recommend.methods.test_node_underutilised import judged as consolidated
from tests.series import WORKLOAD

from gpuwise.model.changes import MakeSpace
from gpuwise.model.inventory import GpuRequest
from gpuwise.model.labels import DATA_CLASS
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked, Recommendation
from gpuwise.model.scheduling import Openness, Requirement, Scheduling, Taint
from gpuwise.recommend.fleet import Fleet
from gpuwise.recommend.methods import pod_pending
from gpuwise.recommend.methods.pod_pending import place_pending
from gpuwise.recommend.plan import recommend
from gpuwise.recommend.settings import RecommendSettings

PLENTY = {"cpu": 96.0, "memory": 2.0**40, "pods": 100.0}


def freed(*workloads, nodes):
    return {name: one.change for name, one in consolidated(*workloads, nodes=nodes).items() if hasattr(one, "change")}


def waiting(name="queued", gpus=1, pods=1, **changes):
    ref = replace(WORKLOAD, name=name, uid=f"uid-{name}")
    return replace(workload(ref, gpus, pods=tuple(pod(f"{name}-{n}", on=None) for n in range(pods))), **changes)


def fleet(*workloads, nodes):
    return Fleet(inventory(*workloads, nodes=nodes), {}, PRICES, RecommendSettings(), NOW_S)


def judged(*workloads, nodes):
    return {item.workload.name: item for item in place_pending(fleet(*workloads, nodes=nodes))}


def test_without_a_pod_that_waits_nothing_is_said():
    assert judged(serving("a", "node-0"), nodes=[here("node-0")]) == {}


def test_a_pod_that_fits_now_is_told_where_and_saves_nothing():
    found = judged(serving("a", "node-0", gpus=7), waiting(pods=2), nodes=[here("node-0"), here("node-1")])["queued"]
    assert (found.change, found.reasons) == (MakeSpace("node-0", ()), (Reason.FITS_NOW,))
    assert (found.saving.usd_month, found.risk, found.restart_needed, found.owner) == (0.0, 0, False, "search")
    assert found.evidence[0].value == 2


def test_the_fewest_moves_make_space():
    nodes = [here("node-0", gpu_count=4), here("node-1", gpu_count=4), here("node-2", gpu_count=4)]
    pods = [
        serving("a", "node-0"),
        serving("b", "node-0"),
        serving("c", "node-1", gpus=2),
        serving("d", "node-2", gpus=3),
    ]
    found = judged(*pods, waiting(gpus=3), nodes=nodes)["queued"]
    assert found.change == MakeSpace("node-0", (("research/Deployment/a", "a-0", "node-2"),))
    assert (found.reasons, found.risk, found.restart_needed) == ((Reason.FITS_AFTER_MOVES,), 2, True)
    assert found.claims == ("node-0", "node-2")


@pytest.mark.parametrize(
    ("subject", "nodes", "reason"),
    [
        (waiting(gpus=16), [here("node-0")], Reason.NO_SPACE),
        (waiting(), [here("node-0", openness=Openness(taints=(Taint("a", "", "NoSchedule"),)))], Reason.NO_SPACE),
        (waiting(), [here("node-0", openness=None)], Reason.NO_SPACE),
        (waiting(request=None), [here("node-0")], Reason.INSUFFICIENT_DATA),
        (waiting(request=GpuRequest("volcano.sh/vgpu-number", 1)), [here("node-0")], Reason.INSUFFICIENT_DATA),
        (waiting(request=GpuRequest("nvidia.com/mig-1g.10gb", 1)), [here("node-0")], Reason.NO_SPACE),
    ],
)
def test_without_a_place_or_without_data_no_place_is_named(subject, nodes, reason):
    found = judged(subject, nodes=nodes)["queued"]
    assert isinstance(found, Blocked)
    assert found.reason is reason


@pytest.mark.parametrize(
    ("scheduling", "reason"),
    [(None, Reason.INSUFFICIENT_DATA), (Scheduling(tied="it has required affinity"), Reason.NOT_MOVABLE)],
)
def test_a_pod_with_unknown_or_special_rules_is_not_placed(scheduling, reason):
    subject = waiting()
    subject = replace(subject, pods=(replace(subject.pods[0], scheduling=scheduling),))
    assert judged(subject, nodes=[here("node-0")])["queued"].reason is reason


def test_pods_that_must_not_move_do_not():
    nodes = [kept("node-0", gpu_count=4), kept("node-1", gpu_count=4)]
    pods = [serving("a", "node-0"), serving("c", "node-1", gpus=3)]
    assert judged(*pods, waiting(gpus=4), nodes=nodes)["queued"].reason is Reason.NO_SPACE
    assert isinstance(
        judged(*pods, waiting(gpus=4), nodes=[here("node-0", gpu_count=4), nodes[1]])["queued"], Recommendation
    )


def test_two_pods_that_wait_get_no_space_twice():
    advice = recommend(fleet(waiting("a", gpus=8), waiting("b", gpus=8), nodes=[here("node-0")]))
    assert [item.workload.name for item in advice.plan] == ["a"]
    assert [item.workload.name for item in advice.alternatives] == ["b"]


def test_a_long_queue_is_cut(monkeypatch):
    monkeypatch.setattr(pod_pending, "_MOST", 1)
    found = judged(waiting("a"), waiting("b"), nodes=[node("node-0")])
    assert isinstance(found["a"], Recommendation)
    assert (found["b"].reason, "no place was sought" in found["b"].detail) == (Reason.INSUFFICIENT_DATA, True)


def test_space_that_a_pod_waits_for_is_not_filled_by_a_consolidation():
    """The pod waits for node-0, and its rules exclude node-1, whose pod fits on node-0."""
    labels = ({"pool": "a"}, {"pool": "b"})
    nodes = [here(f"node-{n}", openness=Openness(labels=labels[n], free=PLENTY)) for n in range(2)]
    pods = [serving("a", "node-0", "elsewhere", gpus=4), serving("b", "node-1", "elsewhere", gpus=3)]
    in_a = Scheduling(terms=((Requirement("pool", "In", ("a",)),),))
    queued = waiting(gpus=4)
    queued = replace(queued, pods=tuple(replace(one, scheduling=in_a) for one in queued.pods))
    assert {name: one.moves for name, one in freed(*pods, nodes=nodes).items()} == {
        "node-1": (("research/Deployment/b", "b-0", "node-0"),)
    }
    assert freed(*pods, queued, nodes=nodes) == {}


def test_a_pod_that_waits_is_not_sent_where_its_data_must_not_be():
    subject = waiting(annotations={DATA_CLASS: "voices"})
    for region, reason in (("us-east-1", Reason.NO_SPACE), ("eu-west-1", None)):
        settings = RecommendSettings(regions_by_data_class={"voices": (region,)})
        (found,) = place_pending(replace(fleet(subject, nodes=[here("node-0")]), settings=settings))
        assert (found.reason if isinstance(found, Blocked) else None) is reason


def test_a_disk_of_more_than_a_terabyte_fits():
    disk = "ephemeral-storage"
    nodes = [here("node-0", openness=Openness(free=PLENTY | {disk: 3e12}))]
    one = waiting()
    wants = replace(one, pods=tuple(replace(each, scheduling=Scheduling(requests={disk: 1.5e12})) for each in one.pods))
    assert isinstance(judged(wants, nodes=nodes)["queued"], Recommendation)
