"""The labels and annotations that gpuwise reads and writes on Kubernetes objects."""

DOMAIN = "gpuwise.dev"

MODE = f"{DOMAIN}/mode"
"""Label or annotation on a workload or namespace: off, recommend, approve or enforce."""

DO_NOT_DISRUPT = f"{DOMAIN}/do-not-disrupt"
KARPENTER_DO_NOT_DISRUPT = "karpenter.sh/do-not-disrupt"
SAFE_TO_EVICT = "cluster-autoscaler.kubernetes.io/safe-to-evict"

CHECKPOINTED = f"{DOMAIN}/checkpointed"
"""Annotation: "true" says that the work resumes from a checkpoint and may be interrupted."""

WORKLOAD_CLASS = f"{DOMAIN}/class"
"""Label: endpoint, batch, training or notebook, where the kind alone does not tell."""

ACTION_ID = f"{DOMAIN}/action-id"
"""Annotation that an effect leaves on its target: the command that wrote it."""

TEAM = f"{DOMAIN}/team"
PROJECT = f"{DOMAIN}/project"
TEAM_LABELS = (TEAM, "team", "app.kubernetes.io/team", "owner")
"""Where a workload's team is looked for, first hit wins; then the same on its namespace."""

CAPACITY_TYPE_LABELS = (
    "karpenter.sh/capacity-type",
    "eks.amazonaws.com/capacityType",
    "cloud.google.com/gke-spot",
    "kubernetes.azure.com/scalesetpriority",
)
GPU_PRODUCT_LABEL = "nvidia.com/gpu.product"
GPU_COUNT_LABEL = "nvidia.com/gpu.count"
GPU_MEMORY_LABEL = "nvidia.com/gpu.memory"
"""GPU feature discovery's labels: product, number and MiB of the devices that the node offers."""
GPU_REPLICAS_LABEL = "nvidia.com/gpu.replicas"
"""How many shares the device plugin makes of each, time-sliced."""

REGION_LABEL = "topology.kubernetes.io/region"
ZONE_LABEL = "topology.kubernetes.io/zone"

GPU_RESOURCE = "nvidia.com/gpu"
SHARED_GPU_RESOURCE = "nvidia.com/gpu.shared"
"""What the device plugin calls time-sliced GPUs where it is told to rename them."""
MIG_RESOURCE_PREFIX = "nvidia.com/mig-"

CARD_SHARES = frozenset({"nvidia.com/gpumem", "nvidia.com/gpumem-percentage", "nvidia.com/gpucores"})
"""How much of a card HAMi's pods may use: MiB and percent, not devices. Without a number of GPUs it gives them one."""


def is_gpu(resource: str) -> bool:
    """Whether a resource is counted in GPUs, or in slices of them."""
    return resource in (GPU_RESOURCE, SHARED_GPU_RESOURCE) or resource.startswith(MIG_RESOURCE_PREFIX)
