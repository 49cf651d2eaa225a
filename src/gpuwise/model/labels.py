"""The labels and annotations that gpuwise reads and writes on Kubernetes objects."""

DOMAIN = "gpuwise.dev"

MODE = f"{DOMAIN}/mode"
"""Label or annotation on a workload or namespace: off, recommend, approve or enforce."""

DO_NOT_DISRUPT = f"{DOMAIN}/do-not-disrupt"
KARPENTER_DO_NOT_DISRUPT = "karpenter.sh/do-not-disrupt"
SAFE_TO_EVICT = "cluster-autoscaler.kubernetes.io/safe-to-evict"

CHECKPOINTED = f"{DOMAIN}/checkpointed"
"""Annotation: "true" declares that the work resumes from a checkpoint and may be interrupted."""

WORKLOAD_CLASS = f"{DOMAIN}/class"
"""Label: endpoint, batch, training or notebook, for objects whose kind alone does not determine it."""

ACTION_ID = f"{DOMAIN}/action-id"
"""Annotation that an effect sets on its target: the id of the command."""

TEAM = f"{DOMAIN}/team"
PROJECT = f"{DOMAIN}/project"
TEAM_LABELS = (TEAM, "team", "app.kubernetes.io/team", "owner")
"""Labels that name a workload's team, in order of precedence; first on the workload, then on its namespace."""

CAPACITY_TYPE_LABELS = (
    "karpenter.sh/capacity-type",
    "eks.amazonaws.com/capacityType",
    "cloud.google.com/gke-spot",
    "kubernetes.azure.com/scalesetpriority",
)
GPU_PRODUCT_LABEL = "nvidia.com/gpu.product"
GPU_COUNT_LABEL = "nvidia.com/gpu.count"
GPU_MEMORY_LABEL = "nvidia.com/gpu.memory"
"""GPU feature discovery's labels: product, number, and memory in MiB of the devices that the node offers."""
GPU_REPLICAS_LABEL = "nvidia.com/gpu.replicas"
"""How many time-sliced replicas the device plugin offers of each GPU."""

REGION_LABEL = "topology.kubernetes.io/region"
ZONE_LABEL = "topology.kubernetes.io/zone"

GPU_RESOURCE = "nvidia.com/gpu"
SHARED_GPU_RESOURCE = "nvidia.com/gpu.shared"
"""The device plugin's resource for time-sliced GPUs if it is configured with renameByDefault."""
MIG_RESOURCE_PREFIX = "nvidia.com/mig-"

CARD_SHARES = frozenset({"nvidia.com/gpumem", "nvidia.com/gpumem-percentage", "nvidia.com/gpucores"})
"""How much of a GPU a HAMi pod may use, in MiB or percent. HAMi gives one GPU to a pod that requests no number."""


def is_gpu(resource: str) -> bool:
    """Whether a resource counts GPUs or slices of GPUs."""
    return resource in (GPU_RESOURCE, SHARED_GPU_RESOURCE) or resource.startswith(MIG_RESOURCE_PREFIX)
