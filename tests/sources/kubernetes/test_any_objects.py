"""I32: no valid object, quantity or label of the cluster ends a run, or hides the objects that can be read."""

from hypothesis import example, given
from hypothesis import strategies as st

from gpuwise.sources.kubernetes.inventory import inventory_of
from gpuwise.sources.kubernetes.listings import ALL_COLLECTIONS

KINDS = sorted(ALL_COLLECTIONS)
KEYS = [
    "spec", "status", "metadata", "template", "containers", "initContainers", "resources", "limits", "requests",
    "claims",
    "nvidia.com/gpu", "nvidia.com/gpu.shared", "nvidia.com/mig-1g.10gb", "nvidia.com/gpumem", "volcano.sh/vgpu-number",
    "aliyun.com/gpu-mem", "resourceClaims", "resourceClaimName", "resourceClaimTemplateName", "resourceClaimStatuses",
    "name", "nodeName", "phase", "conditions", "startTime", "allocatable", "driver", "pool", "generation", "devices",
    "device", "attributes", "capacity", "basic", "exactly", "firstAvailable", "deviceClassName", "count", "selectors",
    "cel", "expression", "allocation", "results", "reservedFor", "uid", "replicas", "predictor", "workerGroupSpecs",
    "scaleTargetRef", "selector", "matchLabels", "maxUnavailable", "restartPolicy", "workloadRef", "triggers",
    "volumes", "persistentVolumeClaim", "claimName", "ephemeral", "hostPath", "volumeName", "nodeAffinity", "required",
    "nodeSelectorTerms", "matchExpressions", "accessModes",
]  # fmt: skip
WORDS = [
    "", "0", "1", "4k", "500m", "-1", "1e400", "\u0661", "many", "Running", "Always", "a", "c", "n1", "gpu.nvidia.com",
    "gpu-0", "gpu-0-mig-1g10gb-19-4", "mig", "GPU-a", "2026-01-01T00:00:00Z", "yesterday", "device.driver == 'x'",
]  # fmt: skip
LABELS = [
    "nvidia.com/gpu.product", "nvidia.com/gpu.count", "nvidia.com/gpu.memory", "nvidia.com/gpu.replicas",
    "cloud.google.com/gke-gpu-partition-size", "cloud.google.com/gke-max-shared-clients-per-gpu",
    "karpenter.k8s.aws/instance-gpu-name", "karpenter.k8s.aws/instance-gpu-memory", "karpenter.sh/capacity-type",
    "hami.io/node-nvidia-register", "volcano.sh/node-vgpu-register", "gpuwise.dev/mode", "gpuwise.dev/class", "team",
]  # fmt: skip
VALUES = st.one_of(
    st.sampled_from(
        ["0", "1", "7", "\u0663", "-1", "99999999999999999999", "1g.5gb", "0g.0gb", "9g.999gb", "1c.0g.5gb", "[{}]",
         "[1", "GPU-a", "GPU-a,10:GPU-b", ":", "NVIDIA-A100-SXM4-80GB-MIG-9g.1gb", "NVIDIA-L40S-0Q",
         "GRID A100-9-999C", "T4"]
    ),
    st.text(max_size=8),
)  # fmt: skip
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-2, 2**70), st.floats(), st.sampled_from(WORDS)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)),
    max_leaves=25,
)
OBJECT = st.dictionaries(st.sampled_from(KEYS), JSON, max_size=5)
POLICIES = ("PodDisruptionBudget", "HorizontalPodAutoscaler", "ScaledObject")
MAPS = st.one_of(st.none(), st.dictionaries(st.sampled_from(LABELS), VALUES, max_size=4))


@st.composite
def objects(draw):
    kind, name = draw(st.sampled_from(KINDS)), draw(st.sampled_from(["a", "b", "c", "n1"]))
    metadata = {"name": name, "uid": f"{kind}-{name}", "creationTimestamp": "2026-01-01T00:00:00Z"}
    metadata |= {"labels": draw(MAPS), "annotations": draw(MAPS)}
    if kind not in ("Node", "Namespace", "ResourceSlice", "DeviceClass"):
        # A policy that cannot be read blocks its namespace, because it may protect any workload there.
        metadata["namespace"] = "other" if kind in POLICIES else "ml"
    fields = draw(st.dictionaries(st.sampled_from(["spec", "status"]), OBJECT, max_size=2))
    return {"kind": kind, "metadata": metadata} | fields


def volumes(claim_spec, claim_status, volume_spec, volume_labels):
    names = {"namespace": "ml", "creationTimestamp": "2026-01-01T00:00:00Z"}
    pod_spec = {
        "nodeName": "n1",
        "containers": [{"resources": {"limits": {"nvidia.com/gpu": "1"}}}],
        "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}],
    }
    return [
        {
            "kind": "PersistentVolumeClaim",
            "metadata": names | {"name": "c"},
            "spec": claim_spec,
            "status": claim_status,
        },
        {"kind": "PersistentVolume", "metadata": {"name": "c", "labels": volume_labels}, "spec": volume_spec},
        {
            "kind": "Pod",
            "metadata": names | {"name": "a", "uid": "a"},
            "spec": pod_spec,
            "status": {"phase": "Running"},
        },
    ]


SOUND = [
    {
        "kind": "Node",
        "metadata": {"name": "sound", "labels": {"nvidia.com/gpu.product": "NVIDIA-L4"}},
        "status": {"allocatable": {"nvidia.com/gpu": "1"}},
    },
    {
        "kind": "Pod",
        "metadata": {"name": "sound", "namespace": "ml", "uid": "s", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"nodeName": "sound", "containers": [{"resources": {"limits": {"nvidia.com/gpu": "1"}}}]},
        "status": {"phase": "Running"},
    },
]


def check(items):
    by_kind = {}
    for item in [*items, *SOUND]:
        by_kind.setdefault(item["kind"], []).append(item)
    found = inventory_of(by_kind, taken_s=0)
    assert "sound" in found.nodes
    assert "sound" in {one.ref.name for one in found.workloads}
    assert not {one.ref for one in found.unread} & {one.ref for one in found.workloads}


@given(st.lists(objects(), min_size=1, max_size=5))
def test_i32_any_object_of_any_kind(items):
    check(items)


@given(
    labels=MAPS,
    annotations=MAPS,
    allocatable=st.one_of(
        st.none(),
        st.text(max_size=2),
        st.dictionaries(
            st.one_of(st.sampled_from(KEYS), VALUES.map("nvidia.com/mig-{}".format)), st.sampled_from(WORDS), max_size=4
        ),
    ),
)
def test_i32_any_node(labels, annotations, allocatable):
    metadata = {"name": "n1", "labels": labels, "annotations": annotations}
    check([{"kind": "Node", "metadata": metadata, "status": {"allocatable": allocatable}}])


def claim(reference, *, allocation=None, requests=None, statuses=None):
    metadata = {"name": "c", "namespace": "ml", "uid": "c", "creationTimestamp": "2026-01-01T00:00:00Z"}
    own = {"kind": "ResourceClaim", "metadata": metadata, "spec": {"devices": {"requests": requests}}}
    pod = {
        "kind": "Pod",
        "metadata": metadata | {"name": "a", "uid": "a"},
        "spec": {"nodeName": "n1", "containers": [], "resourceClaims": reference},
        "status": {"phase": "Running", "resourceClaimStatuses": statuses},
    }
    return [own | {"status": {"allocation": allocation}}, pod]


@given(JSON, JSON, JSON, JSON)
@example([{"name": "g", "resourceClaimName": "c"}], {"devices": {"results": [{"driver": []}]}}, [], [])
@example([{"name": "g", "resourceClaimName": "c"}], None, [{"exactly": {"deviceClassName": {}}}], [])
@example([{"name": "g", "resourceClaimName": []}], None, [], [{"name": {}}])
def test_i32_any_claim(reference, allocation, requests, statuses):
    check(claim(reference, allocation=allocation, requests=requests, statuses=statuses))


BOUND = {"volumeName": "c"}, {"phase": "Bound"}


@given(JSON, JSON, JSON, st.one_of(MAPS, JSON))
@example(*BOUND, {"nodeAffinity": {"required": {}}}, None)
@example(*BOUND, {"nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [{}]}]}}}, None)
@example(*BOUND, {"accessModes": 1}, {"topology.kubernetes.io/zone": 1})
@example({"volumeName": ["c"]}, {"phase": "Bound"}, {}, None)
def test_i32_any_volume(claim_spec, claim_status, volume_spec, volume_labels):
    check(volumes(claim_spec, claim_status, volume_spec, volume_labels))
