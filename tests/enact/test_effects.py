"""The pure part: an effect and its undo are exact inverses, and each touches nothing else."""

import copy
import json

import jsonpatch
from hypothesis import given
from hypothesis import strategies as st

from gpuwise.emulate.objects import deployment
from gpuwise.enact.effects import MARK, Effect, plan_effect
from gpuwise.enact.images import difference, image_of, operations, pointer
from gpuwise.enact.refusal import Refusal
from gpuwise.model.changes import MoveToSpot, Resize, ScaleTo
from gpuwise.model.command import Command
from gpuwise.model.inventory import GpuRequest, WorkloadRef
from gpuwise.model.labels import ACTION_ID

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


def asked(item):
    spec = item["spec"]["template"]["spec"]
    return next(int(one["resources"]["limits"][GPU]) for one in spec["containers"] if "resources" in one)


@st.composite
def orders(draw):
    item = draw(objects())
    shrink = st.builds(ScaleTo, st.integers(min_value=0, max_value=item["spec"]["replicas"] - 1))
    resize = proposals.map(lambda proposed: Resize(GpuRequest(GPU, asked(item)), proposed))
    change = draw(shrink | resize | st.just(MoveToSpot()))
    return item, Command("a-0123456789", "r-0123456789", REF, change, "policy")


def patched(item, body):
    return jsonpatch.apply_patch(copy.deepcopy(item), body)


def bare(item):
    """As the API gives it back: maps of strings that are empty are not there."""
    item = copy.deepcopy(item)
    if not item["metadata"].get("annotations", True):
        del item["metadata"]["annotations"]
    return item


@given(orders())
def test_undo_restores_exactly(order):
    """I12: whatever was there, and whatever was absent."""
    item, command = order
    effect = plan_effect(item, command, 0)
    assert isinstance(effect, Effect)
    done = patched(item, operations(item, effect.pre_image, effect.post_image))
    assert image_of(done, effect.pre_image, effect.post_image) == effect.post_image
    back = patched(done, operations(done, effect.post_image, effect.pre_image))
    assert bare(back) == bare(item)


@given(orders())
def test_images_survive_the_ledger(order):
    """They are written as JSON and read back years later."""
    item, command = order
    effect = plan_effect(item, command, 0)
    assert json.loads(json.dumps(effect.pre_image)) == effect.pre_image
    assert json.loads(json.dumps(effect.post_image)) == effect.post_image


@given(orders())
def test_the_object_that_was_read_is_left_alone(order):
    item, command = order
    before = copy.deepcopy(item)
    effect = plan_effect(item, command, 0)
    operations(item, effect.pre_image, effect.post_image)
    assert item == before


@given(orders())
def test_every_effect_leaves_its_mark_and_its_preconditions(order):
    item, command = order
    effect = plan_effect(item, command, 0)
    assert effect.post_image[MARK] == command.id
    body = operations(item, effect.pre_image, effect.post_image)
    assert {one["path"]: one["value"] for one in body[:2]} == {
        "/metadata/uid": "uid-1",
        "/metadata/resourceVersion": "7",
    }


@given(objects(), st.integers(min_value=0, max_value=60))
def test_a_shrink_never_increases(item, replicas):
    """Story 24, for every number."""
    command = Command("a-0", "r-0", REF, ScaleTo(replicas), "policy")
    effect = plan_effect(item, command, 0)
    if replicas >= item["spec"]["replicas"]:
        assert isinstance(effect, Refusal)
    else:
        assert effect.post_image[pointer("spec", "replicas")] < item["spec"]["replicas"]


@given(objects(), proposals)
def test_a_resize_asks_for_the_new_gpus_and_no_others(item, proposed):
    command = Command("a-0", "r-0", REF, Resize(GpuRequest(GPU, asked(item)), proposed), "policy")
    effect = plan_effect(item, command, 0)
    done = patched(item, operations(item, effect.pre_image, effect.post_image))
    [main] = [one for one in done["spec"]["template"]["spec"]["containers"] if "resources" in one]
    for section in main["resources"].values():
        devices = {key: value for key, value in section.items() if key.startswith("nvidia.com/")}
        assert devices == {proposed.resource: str(proposed.count)}


@given(objects())
def test_a_move_to_spot_keeps_what_was_preferred_and_borne(item):
    effect = plan_effect(item, Command("a-0", "r-0", REF, MoveToSpot(), "policy"), 0)
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


def test_a_difference_is_told_with_what_is_absent():
    said = difference({"/a": 1, "/b": 2}, {"/a": 1, "/c/d~1e": 3})
    assert said == "b is absent, expected 2; c[d/e] is 3, expected absent"
