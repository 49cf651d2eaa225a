"""The labels and annotations that gpuwise reads and writes on Kubernetes objects."""

DOMAIN = "gpuwise.dev"

MODE = f"{DOMAIN}/mode"
"""Label or annotation on a workload or namespace: off, recommend, approve or enforce."""

DO_NOT_DISRUPT = f"{DOMAIN}/do-not-disrupt"
KARPENTER_DO_NOT_DISRUPT = "karpenter.sh/do-not-disrupt"
SAFE_TO_EVICT = "cluster-autoscaler.kubernetes.io/safe-to-evict"

CHECKPOINTED = f"{DOMAIN}/checkpointed"
"""Annotation: "true" declares that the work resumes from a checkpoint and may be interrupted."""

DATA_CLASS = f"{DOMAIN}/data-class"
"""Label or annotation on a workload or namespace: the class of its data, whose regions are a setting."""

WORK_METRIC = f"{DOMAIN}/work-metric"
"""Annotation: the name of a counter that the workload's pods export, of the units of work that they have done."""

VALUE_PER_UNIT = f"{DOMAIN}/value-usd-per-unit"
"""Annotation: what a request or a unit of declared work is worth, in US dollars."""

MODEL = f"{DOMAIN}/model"
"""Label or annotation on a workload or its pods: the model that it trains or serves; work of one model scales alike."""

WORK = f"{DOMAIN}/work"
"""Annotation: how many units of that counter the whole job takes, a number above 0."""

PACE = f"{DOMAIN}/pace"
"""Annotation: units of that counter per hour on its GPUs, which count until a pace is measured, a number above 0."""

DEADLINE = f"{DOMAIN}/deadline"
"""Annotation: when the job must be done, RFC 3339 with a time zone."""

WORKLOAD_CLASS = f"{DOMAIN}/class"
"""Label: endpoint, batch, training or notebook, for objects whose kind alone does not determine it."""

ACTION_ID = f"{DOMAIN}/action-id"
"""Annotation that an effect sets on its target: the id of the command."""

FENCED_BY = f"{DOMAIN}/fenced-by-term"
"""Annotation that a new leader sets on the target of an open action of an earlier one. It changes the resourceVersion,
so that a write of the earlier leader that is still in flight is refused."""

WAKE = f"{DOMAIN}/wake"
"""Annotation that a stop sets on its target: the merge patch, as JSON, that starts it again."""

WOKEN = f"{DOMAIN}/woken"
"""Annotation that starting an object from `gpuwise.dev/wake` leaves: the id of the action that had stopped it."""

WAKE_AT = f"{DOMAIN}/wake-at"
"""Annotation of a stop: when gpuwise starts the object again ahead of its forecast next use, RFC 3339."""

CANARY = f"{DOMAIN}/canary"
"""Annotation on a workload whose change is on a share of its pods first: which share, and until when."""

HELM_VALUES = f"{DOMAIN}/helm-values"
"""Annotation: JSON that names the chart's value for a field: {"spec.replicas": "replicaCount"}."""

EXPIRES = f"{DOMAIN}/expires"
"""Annotation on a node that gpuwise cordoned: until when, RFC 3339; afterwards gpuwise uncordons it."""

TEAM = f"{DOMAIN}/team"
PROJECT = f"{DOMAIN}/project"
TEAM_LABELS = (TEAM, "team", "app.kubernetes.io/team", "owner")
"""Labels that name a workload's team, in order of precedence; first on the workload, then on its namespace."""

CAPACITY_TYPE_LABELS = (
    "karpenter.sh/capacity-type",
    "eks.amazonaws.com/capacityType",
    "cloud.google.com/gke-provisioning",
    "cloud.google.com/gke-spot",
    "cloud.google.com/gke-preemptible",
    "kubernetes.azure.com/scalesetpriority",
    "scheduling.cast.ai/spot",
    "node-role.kubernetes.io/spot-worker",
)
"""Labels of nodes that say how they are paid for: Karpenter, EKS, GKE, AKS, CAST AI, kOps."""
GPU_PRODUCT_LABEL = "nvidia.com/gpu.product"
GPU_COUNT_LABEL = "nvidia.com/gpu.count"
GPU_MEMORY_LABEL = "nvidia.com/gpu.memory"
"""GPU feature discovery's labels: product, number, and memory in MiB of the devices that the node offers."""
GPU_REPLICAS_LABEL = "nvidia.com/gpu.replicas"
"""How many time-sliced replicas the device plugin offers of each GPU."""
GKE_CLIENTS_LABEL = "cloud.google.com/gke-max-shared-clients-per-gpu"
GKE_PARTITION_LABEL = "cloud.google.com/gke-gpu-partition-size"
"""GKE's labels of nodes whose GPUs are shared, or divided into MIG instances of this profile."""

NODE_POOL_LABELS = (
    "karpenter.sh/nodepool",
    "cloud.google.com/gke-nodepool",
    "eks.amazonaws.com/nodegroup",
    "kubernetes.azure.com/agentpool",
    "agentpool",
)
"""Labels of nodes that name their pool, in order of precedence: Karpenter, GKE, EKS, AKS."""

REGION_LABEL = "topology.kubernetes.io/region"
ZONE_LABEL = "topology.kubernetes.io/zone"

GPU_RESOURCE = "nvidia.com/gpu"
SHARED_GPU_RESOURCE = "nvidia.com/gpu.shared"
"""The device plugin's resource for time-sliced GPUs if it is configured with renameByDefault."""
MIG_RESOURCE_PREFIX = "nvidia.com/mig-"
GPU_CLASS, MIG_CLASS = "gpu.nvidia.com", "mig.nvidia.com"
"""Device classes of NVIDIA's DRA driver; in a GpuRequest, what replicas request with resource claims."""

_NVIDIA = "nvidia.com/"
_COUNTED = frozenset(
    {
        "volcano.sh/vgpu-number",
        "volcano.sh/gpu-number",
        "aliyun.com/gpu-count",
    }
)
"""Resources of Volcano's device plugins and of Alibaba's GPU sharing that count cards."""
_CERTAIN = _COUNTED | {GPU_RESOURCE, SHARED_GPU_RESOURCE, GPU_CLASS, MIG_CLASS}

SHARE_OF = {
    "nvidia.com/gpumem": GPU_RESOURCE,
    "nvidia.com/gpumem-percentage": GPU_RESOURCE,
    "nvidia.com/gpucores": GPU_RESOURCE,
    "volcano.sh/vgpu-memory": "volcano.sh/vgpu-number",
    "volcano.sh/vgpu-memory-percentage": "volcano.sh/vgpu-number",
    "volcano.sh/vgpu-cores": "volcano.sh/vgpu-number",
    "volcano.sh/gpu-memory": "volcano.sh/gpu-number",
    "aliyun.com/gpu-mem": "aliyun.com/gpu-count",
    "aliyun.com/gpu-core.percentage": "aliyun.com/gpu-count",
}
"""How much of a card a pod may use, and the resource that counts the cards.

HAMi: docs/config.md. Volcano: docs/user-guide/how_to_use_volcano_vgpu.md and how_to_use_gpu_sharing.md. Alibaba:
gpushare-scheduler-extender, docs/userguide.md. A pod that requests no number gets a share of one card.
"""
CARD_SHARES = frozenset(SHARE_OF)

# Resources of NVIDIA that are no GPUs: HAMi's priority of a task; host devices and RDMA of the network operator.
_NOT_GPUS = ("nvidia.com/priority", "nvidia.com/hostdev", "nvidia.com/rdma", "nvidia.com/sriov", "nvidia.com/mlnx")

NOT_MEASURED = ("amd.com/gpu", "gpu.intel.com/", "habana.ai/gaudi", "aws.amazon.com/neuron", "google.com/tpu")
"""Accelerators of other vendors, by the beginning of the resource: gpuwise does not measure them."""


def is_certainly_gpu(resource: str) -> bool:
    """Whether a resource counts GPUs in every cluster: of other names under nvidia.com, some are network devices."""
    return resource in _CERTAIN or resource.startswith(MIG_RESOURCE_PREFIX)


def is_gpu(resource: str) -> bool:
    """Whether a resource counts NVIDIA's GPUs or parts of them.

    Any name under nvidia.com counts that is not known to be something else: KubeVirt and custom configurations of the
    device plugin name GPUs by their model (nvidia.com/GA100_A100_PCIE_40GB).
    """
    if resource in CARD_SHARES:
        return False
    if resource.startswith(_NOT_GPUS) or "nvswitch" in resource.lower():  # KubeVirt offers switches beside GPUs
        return False
    return resource in _COUNTED or resource.startswith(_NVIDIA)
