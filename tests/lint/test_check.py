"""The checks of manifests, one by one."""

import copy
from dataclasses import replace

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.fleet import PRICES, node

from gpuwise.decide.history import History
from gpuwise.decide.settings import DecideSettings, ScopeBudget
from gpuwise.lint.check import check
from gpuwise.lint.finding import Code
from gpuwise.lint.manifests import manifests
from gpuwise.lint.policies import Surroundings
from gpuwise.model.inventory import CapacityType
from gpuwise.model.scheduling import Openness, Taint

GIVEN = Surroundings(DecideSettings(), {"voices": ("eu-west-1",)}, PRICES)
A100 = {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB"}


def deployment(resources=None, *, annotations=None, labels=None, replicas=2, **spec):
    resources = resources or {"limits": {"nvidia.com/gpu": 1}}
    pods = {"containers": [{"name": "main", "resources": resources}], **spec}
    metadata = {"name": "chat", "namespace": "prod-chat", "labels": labels or {}, "annotations": annotations or {}}
    body = {"replicas": replicas, "template": {"metadata": {"labels": {"app": "chat"}}, "spec": pods}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": body}


def job(kind="Job", annotations=None, deadline=None, **spec):
    made = deployment(annotations=annotations, **spec)
    body = {"template": made["spec"]["template"]} | ({"activeDeadlineSeconds": deadline} if deadline else {})
    body = {"jobTemplate": {"spec": body}} if kind == "CronJob" else body
    return made | {"apiVersion": "batch/v1", "kind": kind, "spec": body}


def checked(*items, surroundings=GIVEN, namespaces=None):
    text = "---\n".join(yaml.safe_dump(one) for one in items)
    return check(manifests("m.yaml", text), surroundings, namespaces=namespaces or {})


def found(*items, **more):
    """The findings by code, without what is only good to know."""
    return {one.code: one for one in checked(*items, **more).findings if one.severity != "info"}


def test_a_sound_workload_has_no_finding_but_its_cost():
    made = checked(deployment(nodeSelector=A100))
    assert [(one.code, one.line) for one in made.findings] == [(Code.COST, 14)]
    # 2 replicas of 1 GPU at 3 USD an hour
    assert "2 GPUs (A100-80GB on-demand) cost 4,380 USD a month" in made.findings[0].text
    assert (made.objects, made.workloads) == (1, 1)


def test_what_has_no_gpus_is_not_checked():
    made = checked(
        deployment({"limits": {"cpu": 1}}), {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}}
    )
    assert (made.findings, made.objects, made.workloads) == ((), 2, 0)


@pytest.mark.parametrize(
    ("item", "code", "words"),
    [
        (deployment({"requests": {"nvidia.com/gpu": 1}}), Code.LIMIT_MISMATCH, "without a limit"),
        (
            deployment({"requests": {"nvidia.com/gpu": 1}, "limits": {"nvidia.com/gpu": "2"}}),
            Code.LIMIT_MISMATCH,
            "requests 1 nvidia.com/gpu with limit 2",
        ),
        (deployment({"limits": {"nvidia.com/gpu": 8, "cpu": "4"}}), Code.FEW_CPUS, "8 GPUs and a CPU limit of 4"),
        (deployment(annotations={"gpuwise.dev/mode": "enfroce"}), Code.UNREADABLE_POLICY, "counts as off"),
        (deployment(annotations={"gpuwise.dev/do-not-disrupt": "yes"}), Code.UNREADABLE_POLICY, "do-not-disrupt"),
        (deployment(annotations={"gpuwise.dev/data-class": "voices"}), Code.REGION_OPEN, "requires no region"),
        (deployment(annotations={"gpuwise.dev/data-class": "vioces"}), Code.UNKNOWN_DATA_CLASS, "which has: voices"),
        (job(), Code.NO_TIME_LIMIT, "activeDeadlineSeconds"),
        (job("CronJob"), Code.NO_TIME_LIMIT, "activeDeadlineSeconds"),
        (
            job(deadline=60, nodeSelector={"karpenter.sh/capacity-type": "spot"}),
            Code.NOT_RESUMABLE,
            "declares no checkpoints",
        ),
        (deployment({"limits": {"nvidia.com/gpu": 1.5}}), Code.UNREADABLE, "1.5"),
        (deployment(replicas="many"), Code.UNREADABLE, "Deployment chat"),
    ],
)
def test_each_code_is_found_alone(item, code, words):
    made = found(item)
    assert list(made) == [code]
    assert words in made[code].text
    assert made[code].hint


@pytest.mark.parametrize(
    "item",
    [
        deployment({"requests": {"nvidia.com/gpu": "1"}, "limits": {"nvidia.com/gpu": 1}}),
        deployment({"limits": {"nvidia.com/gpu": 8, "cpu": "8"}}),
        deployment({"limits": {"nvidia.com/gpu": 8}}),
        job(deadline=60),
        job(annotations={"gpuwise.dev/deadline": "2026-06-01T00:00:00Z"}),
        job(
            deadline=60,
            annotations={"gpuwise.dev/checkpointed": "true"},
            nodeSelector={"karpenter.sh/capacity-type": "spot"},
        ),
        job("CronJob", deadline=60),
    ],
)
def test_what_is_right_is_not_found(item):
    assert found(item) == {}


def test_several_containers_share_no_gpu():
    item = deployment()
    item["spec"]["template"]["spec"]["containers"].append(
        {"name": "side", "resources": {"limits": {"nvidia.com/gpu": 1}}}
    )
    assert list(found(item)) == [Code.SEVERAL_CONTAINERS_ASK]


def region(*values, key="topology.kubernetes.io/region"):
    expression = {"key": key, "operator": "In", "values": list(values)}
    terms = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    return {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}}


@pytest.mark.parametrize(
    ("spec", "code"),
    [
        (region("eu-west-1"), None),
        (region("eu-west-1a", "eu-west-1b", key="topology.kubernetes.io/zone"), None),
        (region("eu-west-1", "us-east-1"), Code.REGION_FORBIDDEN),
        (region("us-east-1a", key="topology.kubernetes.io/zone"), Code.REGION_FORBIDDEN),
        ({"nodeSelector": {"topology.kubernetes.io/region": "us-east-1"}}, Code.REGION_FORBIDDEN),
        ({}, Code.REGION_OPEN),
    ],
)
def test_data_stay_in_the_regions_of_their_class(spec, code):
    item = deployment(**spec)
    namespaces = {"prod-chat": {"gpuwise.dev/data-class": "voices"}}  # of the namespace, as in the cluster
    assert list(found(item, namespaces=namespaces)) == ([code] if code else [])
    assert found(item) == {}
    as_manifest = {"apiVersion": "v1", "kind": "Namespace"}
    as_manifest["metadata"] = {"name": "prod-chat", "labels": namespaces["prod-chat"]}
    assert list(found(item, as_manifest)) == ([code] if code else [])


def at(name, where, **more):
    labels = {"topology.kubernetes.io/region": where, "pool": name}
    return replace(node(name), region=where, openness=Openness(labels=labels), **more)


def test_the_nodes_of_the_fleet_that_it_admits_count():
    fleet = replace(GIVEN, nodes=(at("a", "eu-west-1"), at("b", "us-east-1")))
    voices = {"gpuwise.dev/data-class": "voices"}
    outside = found(deployment(annotations=voices), surroundings=fleet)
    assert "could start in us-east-1; data class voices allows eu-west-1" in outside[Code.REGION_FORBIDDEN].text
    inside = found(deployment(annotations=voices, nodeSelector={"pool": "a"}), surroundings=fleet)
    assert Code.REGION_FORBIDDEN not in inside
    nowhere = found(deployment(nodeSelector={"pool": "c"}), surroundings=fleet)
    assert "none of the 2 GPU nodes" in nowhere[Code.NO_MATCHING_NODE].text
    large = found(deployment({"limits": {"nvidia.com/gpu": 9}}), surroundings=fleet)
    assert "the largest node that admits it has 8" in large[Code.NO_MATCHING_NODE].text
    tainted = replace(
        GIVEN, nodes=(replace(at("a", "x"), openness=Openness(taints=(Taint("own", "", "NoSchedule"),))),)
    )
    assert list(found(deployment(), surroundings=tainted)) == [Code.NO_MATCHING_NODE]
    sliced = replace(GIVEN, nodes=(at("a", "x", pods_per_gpu=4),))
    assert list(found(deployment({"limits": {"nvidia.com/gpu": 2}}), surroundings=sliced)) == [Code.SHARED_GPU_REPEATED]
    assert found(deployment(), surroundings=sliced) == {}


def cost(item, surroundings=GIVEN):
    [one] = [one for one in checked(item, surroundings=surroundings).findings if "Cost" in one.code]
    return one.code, one.text


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (deployment(), "its affinity names no GPU type, and no fleet is given"),
        (deployment(nodeSelector={"nvidia.com/gpu.product": "NVIDIA-L40S"}), "no price of L40S on-demand"),
        (deployment({"limits": {"nvidia.com/gpu.shared": 1}}, nodeSelector=A100), "the part of a GPU that"),
        (
            deployment(resources={"claims": [{"name": "g"}]}, resourceClaims=[{"name": "g"}], nodeSelector=A100),
            "not known",
        ),
    ],
)
def test_a_cost_that_is_not_known_says_why_and_is_never_0(item, words):
    code, text = cost(item)
    assert code is Code.COST_UNKNOWN
    assert words in text


def test_the_cost_is_that_of_the_places_that_it_admits():
    spot = A100 | {"karpenter.sh/capacity-type": "spot"}
    assert "cost 1,460 USD a month" in cost(deployment(nodeSelector=spot))[1]
    assert (
        "2 GPUs (A100-80GB spot) cost 2 USD an hour while it runs"
        in cost(
            job(deadline=60, nodeSelector=spot) | {"spec": deployment(nodeSelector=spot)["spec"] | {"parallelism": 2}}
        )[1]
    )
    fleet = replace(GIVEN, nodes=(at("a", "x"), replace(at("b", "x"), capacity_type=CapacityType.SPOT)))
    assert "cost 1,460 to 4,380 USD a month" in cost(deployment(), fleet)[1]
    slice_ = deployment({"limits": {"nvidia.com/mig-3g.40gb": 1}}, replicas=1, nodeSelector=A100)
    assert "cost 1,095 USD a month" in cost(slice_)[1]  # half of the memory


@pytest.mark.parametrize(
    ("labels", "missing"),
    [
        ({}, {"owner", "project", "cost-center"}),
        ({"team": "search", "project": "chat"}, {"cost-center"}),
        ({"owner": "search", "gpuwise.dev/project": "chat", "cost-center": "7"}, set()),
    ],
)
def test_required_labels_are_those_of_all_patterns_of_the_namespace(labels, missing):
    required = {"*": ("owner",), "prod-*": ("project", "cost-center"), "dev-*": ("never",)}
    policy = replace(GIVEN, policy=DecideSettings(required_labels=required))
    texts = [one.text for one in checked(deployment(labels=labels), surroundings=policy).findings]
    assert {text.rpartition(" ")[2] for text in texts if "requires the label" in text} == missing
    on_namespace = checked(deployment(), surroundings=policy, namespaces={"prod-chat": labels}).findings
    assert sum(one.code is Code.REQUIRED_LABEL_MISSING for one in on_namespace) == len(missing)


def test_budgets_that_are_0_or_left():
    policy = DecideSettings(budgets={"namespace/prod-chat": ScopeBudget(3), "owner/search": ScopeBudget(1)})
    made = checked(deployment(), surroundings=replace(GIVEN, policy=policy, history=History()))
    texts = {one.code: one.text for one in made.findings}
    assert "the policy gives owner/none no budget" in texts[Code.NO_BUDGET]
    assert texts[Code.BUDGET_LEFT] == "3 of 3 disruptions of namespace/prod-chat in 3600 s are left"


def test_lists_and_documents_have_the_lines_of_their_fields():
    text = """# first
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Pod
  metadata: {name: a}
  spec:
    containers:
    - name: main
      resources:
        requests: {nvidia.com/gpu: 1}
"""
    [one] = [one for one in check(manifests("m", text), GIVEN, namespaces={}).findings if one.severity == "error"]
    assert (one.line, one.code, one.subject) == (11, Code.LIMIT_MISMATCH, "default/Pod/a")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3),
    max_leaves=5,
)
PATHS = (
    ("metadata",),
    ("metadata", "labels"),
    ("metadata", "annotations"),
    ("metadata", "namespace"),
    ("spec",),
    ("spec", "replicas"),
    ("spec", "template"),
    ("spec", "template", "metadata"),
    ("spec", "template", "spec"),
    ("spec", "template", "spec", "containers"),
    ("spec", "template", "spec", "containers", 0),
    ("spec", "template", "spec", "containers", 0, "resources"),
    ("spec", "template", "spec", "containers", 0, "resources", "limits"),
    ("spec", "template", "spec", "containers", 0, "resources", "limits", "nvidia.com/gpu"),
    ("spec", "template", "spec", "nodeSelector"),
    ("spec", "template", "spec", "affinity"),
    ("spec", "template", "spec", "tolerations"),
)


@given(st.sampled_from(PATHS), VALUES, st.sampled_from(["Deployment", "Job", "CronJob", "Pod", "RayCluster", "Odd"]))
def test_any_value_in_any_field_is_a_finding_or_nothing(path, value, kind):
    item = copy.deepcopy(deployment(nodeSelector={"a": "b"}, affinity={}, tolerations=[])) | {"kind": kind}
    place = item
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    sound = deployment({"requests": {"nvidia.com/gpu": 1}})
    fleet = replace(GIVEN, nodes=(at("a", "x"),))
    made = checked(item, sound, surroundings=fleet)
    assert made.objects == 2
    assert Code.LIMIT_MISMATCH in {one.code for one in made.findings}  # the other object is checked


BOMB = "apiVersion: v1\nkind: Pod\na0: &a0 [x]\n" + "".join(
    f"a{number}: &a{number} [{', '.join([f'*a{number - 1}'] * 9)}]\n" for number in range(1, 10)
)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: [", 1, "it is not YAML"),
        ("apiVersion: v1\nkind: [\n", 3, "it is not YAML"),
        ("a: 2026-99-99", 1, "it is not YAML"),
        ("[" * 3000, 1, "it is not YAML"),
        ("a: !!python/object:os.system {}", 1, "it is not YAML"),
        ("? {a: b}\n: c", 1, "it is not YAML"),
        ("replicas: 3", 1, "it is not a Kubernetes object"),
        ("- 1", 1, "it is not a Kubernetes object"),
        ("x: &a [*a]\napiVersion: v1\nkind: Pod\nspec: *a", 1, "too many values"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {labels: {x: *i8}}\n", 3, "it is not YAML"),
        (BOMB, 1, "too many values"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: a\x07}\n", 1, "it is not YAML"),
    ],
)
def test_what_is_no_manifest_is_a_finding(text, line, words):
    [one] = check(manifests("m", text), GIVEN, namespaces={}).findings
    assert (one.code, one.line) == (Code.UNREADABLE, line)
    assert words in one.text


def test_in_a_folder_other_files_are_left_out_and_templates_are_named():
    assert list(manifests("values.yaml", "replicas: 3", in_folder=True)) == []
    [one] = manifests("t.yaml", "a: [\n - {{ .Values.x }}\n", in_folder=True)
    assert (one.code, "helm template" in one.hint) == (Code.TEMPLATE, True)
