"""The pure part of effects: an effect and its undo are exact inverses, and change nothing else."""

import copy
import json

import jsonpatch
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuwise.emulate.objects import deployment
from gpuwise.enact.effects import MARK, Effect, plan_effect
from gpuwise.enact.images import difference, image_of, operations, pointer
from gpuwise.enact.refusal import Refusal
from gpuwise.enact.target import Target
from gpuwise.model.changes import MoveToOnDemand, MoveToSpot, Resize, ScaleTo
from gpuwise.model.command import Command, enactable
from gpuwise.model.inventory import GpuRequest, WorkloadRef
from gpuwise.model.kinds import KINDS
from gpuwise.model.labels import ACTION_ID
from gpuwise.model.reasons import Reason
from gpuwise.model.scheduling import Requirement

GPU = "nvidia.com/gpu"
REF = WorkloadRef("default", "Deployment", "llm", "uid-1")

annotations = st.none() | st.dictionaries(st.sampled_from(["a/b", "c~d", ACTION_ID]), st.text(max_size=3), min_size=1)
counts = st.integers(min_value=1, max_value=8)
tolerations = st.none() | st.just([{"key": "nvidia.com/gpu", "operator": "Exists"}])
affinities = st.sampled_from(
    [
        None,
        {"podAffinity": {}},
        {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}},
        {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": {}}]}},
    ]
)
proposals = st.builds(GpuRequest, st.sampled_from([GPU, "nvidia.com/mig-1g.10gb", "nvidia.com/mig-2g.20gb"]), counts)


@st.composite
def objects(draw):
    item = deployment("llm", replicas=draw(st.integers(min_value=1, max_value=50)), uid="uid-1", resourceVersion="7")
    marks = draw(annotations)
    if marks is not None:
        item["metadata"]["annotations"] = marks
    spec = item["spec"]["template"]["spec"]
    resources = {"limits": {GPU: str(draw(counts)), "cpu": "2"}}
    if draw(st.booleans()):
        resources["requests"] = {GPU: resources["limits"][GPU], "memory": "1Gi"}
    sidecar = {"name": "proxy", "image": "p"}
    main = {"name": "main", "image": "m", "resources": resources}
    spec["containers"] = [sidecar, main] if draw(st.booleans()) else [main, sidecar]
    for field, value in (("tolerations", draw(tolerations)), ("affinity", draw(affinities))):
        if value is not None:
            spec[field] = value
    return item


def target(item, kind="Deployment"):
    return Target(KINDS[kind], KINDS[kind].path("default", "llm", "v1"), item, item)


def requested(item):
    spec = item["spec"]["template"]["spec"]
    return next(int(one["resources"]["limits"][GPU]) for one in spec["containers"] if "resources" in one)


@st.composite
def planned_commands(draw):
    item = draw(objects())
    shrink = st.builds(ScaleTo, st.integers(min_value=0, max_value=item["spec"]["replicas"] - 1))
    resize = proposals.map(lambda proposed: Resize(GpuRequest(GPU, requested(item)), proposed))
    moves = st.builds(MoveToSpot, zone=st.sampled_from([None, "eu-1a"]))
    change = draw(shrink | resize | moves | st.just(MoveToOnDemand()))
    return item, Command("a-0123456789", "r-0123456789", REF, change, "policy")


def patched(item, body):
    return jsonpatch.apply_patch(copy.deepcopy(item), body)


def bare(item):
    """As the API server returns it: without empty maps of strings."""
    item = copy.deepcopy(item)
    if not item["metadata"].get("annotations", True):
        del item["metadata"]["annotations"]
    return item


@given(planned_commands())
def test_undo_restores_exactly(planned):
    """I12: present and absent fields alike."""
    item, command = planned
    effect = plan_effect(target(item), command, 0)
    assert isinstance(effect, Effect)
    done = patched(item, operations(item, effect.pre_image, effect.post_image))
    assert image_of(done, effect.pre_image, effect.post_image) == effect.post_image
    back = patched(done, operations(done, effect.post_image, effect.pre_image))
    assert bare(back) == bare(item)


@given(planned_commands())
def test_images_survive_the_ledger(planned):
    """Images are written as JSON and may be read years later."""
    item, command = planned
    effect = plan_effect(target(item), command, 0)
    assert json.loads(json.dumps(effect.pre_image)) == effect.pre_image
    assert json.loads(json.dumps(effect.post_image)) == effect.post_image


@given(planned_commands())
def test_the_input_object_is_not_changed(planned):
    item, command = planned
    before = copy.deepcopy(item)
    effect = plan_effect(target(item), command, 0)
    operations(item, effect.pre_image, effect.post_image)
    assert item == before


@given(planned_commands())
def test_every_effect_has_its_annotation_and_its_preconditions(planned):
    item, command = planned
    effect = plan_effect(target(item), command, 0)
    assert effect.post_image[MARK] == command.id
    body = operations(item, effect.pre_image, effect.post_image)
    assert {one["path"]: one["value"] for one in body[:2]} == {
        "/metadata/uid": "uid-1",
        "/metadata/resourceVersion": "7",
    }


@given(objects(), st.integers(min_value=0, max_value=60))
def test_a_scale_down_never_increases(item, replicas):
    """GoKubeDownscaler#456 raised 0 replicas to 1; here for every number."""
    command = Command("a-0", "r-0", REF, ScaleTo(replicas), "policy")
    effect = plan_effect(target(item), command, 0)
    if replicas >= item["spec"]["replicas"]:
        assert isinstance(effect, Refusal)
    else:
        assert effect.post_image[pointer("spec", "replicas")] < item["spec"]["replicas"]


@given(objects(), proposals)
def test_a_resize_requests_only_the_new_gpus(item, proposed):
    command = Command("a-0", "r-0", REF, Resize(GpuRequest(GPU, requested(item)), proposed), "policy")
    effect = plan_effect(target(item), command, 0)
    done = patched(item, operations(item, effect.pre_image, effect.post_image))
    [main] = [one for one in done["spec"]["template"]["spec"]["containers"] if "resources" in one]
    for section in main["resources"].values():
        devices = {key: value for key, value in section.items() if key.startswith("nvidia.com/")}
        assert devices == {proposed.resource: str(proposed.count)}


@given(objects())
def test_a_move_to_spot_keeps_existing_preferences_and_tolerations(item):
    effect = plan_effect(target(item), Command("a-0", "r-0", REF, MoveToSpot(), "policy"), 0)
    done = patched(item, operations(item, effect.pre_image, effect.post_image))
    before, after = (one["spec"]["template"]["spec"] for one in (item, done))
    terms = "preferredDuringSchedulingIgnoredDuringExecution"
    had = before.get("affinity", {}).get("nodeAffinity", {}).get(terms, [])
    have = after["affinity"]["nodeAffinity"][terms]
    assert have[: len(had)] == had
    assert len(have) == len(had) + 4
    assert after["tolerations"][: len(before.get("tolerations", []))] == before.get("tolerations", [])
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    assert before.get("affinity", {}).get("nodeAffinity", {}).get(required) == after["affinity"]["nodeAffinity"].get(
        required
    )


def spec_after(item, change):
    effect = plan_effect(target(item), Command("a-0", "r-0", REF, change, "policy"), 0)
    assert isinstance(effect, Effect), effect
    return patched(item, operations(item, effect.pre_image, effect.post_image))


def required(item):
    affinity = item["spec"]["template"]["spec"].get("affinity", {}).get("nodeAffinity", {})
    return affinity.get("requiredDuringSchedulingIgnoredDuringExecution", {}).get("nodeSelectorTerms", [])


def admits(item, labels):
    terms = [
        tuple(
            Requirement(one["key"], one["operator"], tuple(one.get("values", ()))) for one in term["matchExpressions"]
        )
        for term in required(item)
    ]
    return any(all(one.met_by(labels) for one in term) for term in terms) or not terms


SPOT_NODES = [
    {"karpenter.sh/capacity-type": "spot"},
    {"eks.amazonaws.com/capacityType": "SPOT"},
    {"cloud.google.com/gke-spot": "true"},
    {"kubernetes.azure.com/scalesetpriority": "spot"},
    {"cloud.google.com/gke-provisioning": "preemptible"},
    {"cloud.google.com/gke-preemptible": "true"},
    {"scheduling.cast.ai/spot": "true"},
    {"node-role.kubernetes.io/spot-worker": "true"},
]
OTHERS = [{}, {"karpenter.sh/capacity-type": "on-demand"}, {"eks.amazonaws.com/capacityType": "ON_DEMAND"}]


@given(objects(), st.sampled_from([None, "eu-1a"]))
def test_i22_spot_without_the_fallback_is_never_written(item, zone):
    command = Command("a-0123456789", "r-0123456789", REF, MoveToSpot(zone, only=True), "policy")
    refused = plan_effect(target(item), command, 0)
    assert isinstance(refused, Refusal)
    assert not enactable(command.change, REF)


@given(objects())
def test_on_demand_excludes_spot_nodes_and_each_move_replaces_the_other(item):
    moved = spec_after(item, MoveToSpot())
    back = spec_after(moved, MoveToOnDemand())
    assert all(admits(back, labels) for labels in OTHERS)
    assert not any(admits(back, labels) for labels in SPOT_NODES)
    again = spec_after(back, MoveToSpot())
    assert required(again) == []
    assert all(admits(again, labels) for labels in (*OTHERS, *SPOT_NODES))


def test_requirements_that_are_not_about_capacity_are_kept():
    item = deployment("llm", uid="uid-1", resourceVersion="7")
    disk = {"key": "disk", "operator": "In", "values": ["fast"]}
    item["spec"]["template"]["spec"]["affinity"] = {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [disk]}]}
        }
    }
    item = spec_after(item, MoveToOnDemand())
    assert all(disk in term["matchExpressions"] for term in required(item))
    assert required(spec_after(item, MoveToSpot())) == [{"matchExpressions": [disk]}]


def requiring(*terms):
    item = deployment("llm", uid="uid-1", resourceVersion="7")
    selector = {"nodeSelectorTerms": [{"matchExpressions": [one]} for one in terms]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": selector}
    item["spec"]["template"]["spec"]["affinity"] = {"nodeAffinity": required}
    return item


@pytest.mark.parametrize(
    "spot",
    [
        {"key": "cloud.google.com/gke-spot", "operator": "Exists"},
        {"key": "scheduling.cast.ai/spot", "operator": "In", "values": ["true"]},
        {"key": "karpenter.sh/capacity-type", "operator": "NotIn", "values": ["on-demand"]},
        {"key": "eks.amazonaws.com/nodegroup", "operator": "In", "values": ["gpu-spot"]},
    ],
)
def test_a_move_to_on_demand_never_leaves_pods_without_any_node(spot):
    command = Command("a-0123456789", "r-0123456789", REF, MoveToOnDemand(), "policy")
    refused = plan_effect(target(requiring(spot)), command, 0)
    assert isinstance(refused, Refusal)
    assert spot["key"] in refused.detail
    disk = {"key": "disk", "operator": "In", "values": ["fast"]}
    assert not isinstance(plan_effect(target(requiring(spot, disk)), command, 0), Refusal)


def test_a_move_to_on_demand_leaves_a_workload_that_is_pinned_to_a_node_pool():
    item = deployment("llm", uid="uid-1", resourceVersion="7")
    item["spec"]["template"]["spec"]["nodeSelector"] = {"cloud.google.com/gke-nodepool": "gpu-spot"}
    refused = plan_effect(target(item), Command("a-0123456789", "r-0123456789", REF, MoveToOnDemand(), "policy"), 0)
    assert isinstance(refused, Refusal)
    assert "gpu-spot" in refused.detail


def test_what_a_person_wrote_to_exclude_spot_nodes_is_not_removed():
    own = {"key": "karpenter.sh/capacity-type", "operator": "NotIn", "values": ["spot"]}
    refused = plan_effect(
        target(requiring(own)), Command("a-0123456789", "r-0123456789", REF, MoveToSpot(), "policy"), 0
    )
    assert isinstance(refused, Refusal)
    assert refused.reason is Reason.NOT_INTERRUPTIBLE


def test_the_zone_is_preferred_less_than_spot():
    item = deployment("llm", uid="uid-1", resourceVersion="7")
    affinity = spec_after(item, MoveToSpot("eu-1a"))["spec"]["template"]["spec"]["affinity"]["nodeAffinity"]
    terms = affinity["preferredDuringSchedulingIgnoredDuringExecution"]
    (zone,) = [one for one in terms if one["preference"]["matchExpressions"][0]["key"] == "topology.kubernetes.io/zone"]
    assert zone["preference"]["matchExpressions"][0]["values"] == ["eu-1a"]
    assert zone["weight"] < min(one["weight"] for one in terms if one is not zone)


def test_a_difference_includes_absent_fields():
    text = difference({"/a": 1, "/b": 2}, {"/a": 1, "/c/d~1e": 3})
    assert text == "b is absent, expected 2; c[d/e] is 3, expected absent"
