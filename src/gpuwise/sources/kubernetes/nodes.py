"""Nodes: their GPUs and their capacity type."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from gpuwise.model.gpu import GIB, GPU_TYPES, GpuType, gpu_type, vgpu
from gpuwise.model.inventory import CapacityType, Node
from gpuwise.model.labels import (
    CAPACITY_TYPE_LABELS,
    GKE_CLIENTS_LABEL,
    GKE_PARTITION_LABEL,
    GPU_MEMORY_LABEL,
    GPU_PRODUCT_LABEL,
    GPU_REPLICAS_LABEL,
    NOT_MEASURED,
    REGION_LABEL,
    ZONE_LABEL,
)
from gpuwise.model.ports import Object
from gpuwise.model.protection import marks
from gpuwise.sources.kubernetes.claims import Device
from gpuwise.sources.kubernetes.instance_types import gpu_of_instance
from gpuwise.sources.kubernetes.node_gpus import COUNT_LABELS, gpus_of, registered_cards
from gpuwise.sources.kubernetes.settings import InventorySettings

# Values of CAPACITY_TYPE_LABELS, in lower case and with "-" for "_": Karpenter on-demand, spot and reserved; EKS
# ON_DEMAND, SPOT and CAPACITY_BLOCK; GKE standard, spot and preemptible, or "true" on spot nodes; AKS regular and
# spot; CAST AI and kOps "true".
_CAPACITY_TYPES = {
    "spot": CapacityType.SPOT,
    "preemptible": CapacityType.SPOT,
    "standard": CapacityType.ON_DEMAND,
    "true": CapacityType.SPOT,
    "on-demand": CapacityType.ON_DEMAND,
    "regular": CapacityType.ON_DEMAND,
    "false": CapacityType.ON_DEMAND,
    "reserved": CapacityType.RESERVED,
    "capacity-block": CapacityType.RESERVED,
}


# Labels that name a node's GPU product, in this order: GPU feature discovery, then the cloud providers' own labels.
_PRODUCT_LABELS = (
    GPU_PRODUCT_LABEL,
    "cloud.google.com/gke-accelerator",
    "karpenter.k8s.aws/instance-gpu-name",
    "karpenter.azure.com/sku-gpu-name",
)
_MEMORY_LABELS = (GPU_MEMORY_LABEL, "karpenter.k8s.aws/instance-gpu-memory")
_INSTANCE_LABELS = ("node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type")
# GKE names the 80 GB card "nvidia-a100-80gb", and the 40 GB card without its size. Its V100 has 16 GB.
_WITH_SIZE = {"nvidia-tesla-a100": "nvidia-a100-40gb", "nvidia-tesla-v100": "nvidia-v100-16gb"}
MIB = 2**20
READ_LABELS = (
    *_PRODUCT_LABELS,
    *_MEMORY_LABELS,
    *_INSTANCE_LABELS,
    *COUNT_LABELS,
    *CAPACITY_TYPE_LABELS,
    GPU_REPLICAS_LABEL,
    GKE_CLIENTS_LABEL,
    GKE_PARTITION_LABEL,
    REGION_LABEL,
    ZONE_LABEL,
)
"""Labels of a node that `node_of` reads, besides those of the settings."""


def node_of(
    item: Object,
    *,
    claimable: Sequence[Device] = (),
    split: bool = False,
    settings: InventorySettings | None = None,
) -> Node | None:
    """Convert a Node object; None for a node without GPUs.

    Args:
        item: the object.
        claimable: devices that ResourceSlices offer on it.
        split: pods of the node request shares of cards, as with HAMi.
        settings: names that are particular to the cluster.

    Raises:
        ValueError: a resource quantity cannot be read.
    """
    settings = settings or InventorySettings()
    metadata = item["metadata"]
    labels = metadata.get("labels") or {}
    product, gpu = _product(labels, metadata.get("annotations") or {}, claimable)
    gpus = gpus_of(
        product,
        gpu,
        metadata,
        item.get("status") or {},
        claimable=claimable,
        split=split,
        names=settings.gpu_resources,
    )
    if not gpus.cards and not gpus.mig:
        return None
    part = vgpu(product)
    return Node(
        name=metadata["name"],
        gpu_type=gpu,
        gpu_product=product,
        gpu_count=gpus.cards,
        mig=gpus.mig,
        capacity_type=_capacity_type(labels, settings),
        region=labels.get(REGION_LABEL),
        zone=labels.get(ZONE_LABEL),
        gpu_fraction=part[1] if part else 1.0,
        whole_gpus=gpus.whole,
        claimable=len({device.card for device in claimable}),
        pods_per_gpu=gpus.pods_per_card,
        created_s=_created_s(metadata),
        marks=marks(metadata),
    )


def not_measured(item: Object) -> tuple[str, ...]:
    """Return the resources of a node that are accelerators of other vendors."""
    allocatable = (item.get("status") or {}).get("allocatable") or {}
    return tuple(
        sorted(name for name, amount in allocatable.items() if name.startswith(NOT_MEASURED) and str(amount) != "0")
    )


def _product(
    labels: Mapping[str, str], annotations: Mapping[str, str], claimable: Sequence[Device]
) -> tuple[str, GpuType | None]:
    """Return the product of a node's GPUs and its type: by label, ResourceSlice, HAMi, else by the instance type."""
    product = next((labels[key] for key in _PRODUCT_LABELS if labels.get(key)), "")
    claimed = {device.product for device in claimable if device.product}
    registered = set(registered_cards(annotations))
    for names in ({product} if product else set(), claimed, registered):
        if len(names) == 1 and (name := next(iter(names))):
            return name, _gpu_type(name, labels)
    instance = next((labels[key] for key in _INSTANCE_LABELS if labels.get(key)), "")
    gpu = gpu_of_instance(instance)
    return (instance, gpu) if gpu else ("", None)


def _gpu_type(product: str, labels: Mapping[str, str]) -> GpuType | None:
    """Return the GPU type of a product name. If the name has no memory size, the node's memory label decides."""
    name = _WITH_SIZE.get(product, product).upper()
    known = gpu_type(name)
    mebibytes = next((labels[key] for key in _MEMORY_LABELS if labels.get(key)), "")
    if known is not None or not mebibytes.isdecimal():
        return known
    candidates = [gpu for gpu in GPU_TYPES if gpu_type(f"{name} {gpu.memory_bytes // GIB}GB") is gpu]
    return min(candidates, key=lambda gpu: abs(gpu.memory_bytes / MIB - int(mebibytes)), default=None)


def _created_s(metadata: Mapping[str, object]) -> int | None:
    """Return when the node was created, None if its timestamp is absent or cannot be read."""
    try:
        return int(datetime.fromisoformat(str(metadata.get("creationTimestamp"))).timestamp())
    except ValueError:
        return None


def _capacity_type(labels: Mapping[str, str], settings: InventorySettings) -> CapacityType | None:
    for name, value in labels.items():
        given = settings.capacity_labels.get(f"{name}:{value}")
        if given is not None:
            return given
    values = (labels[key].lower().replace("_", "-") for key in CAPACITY_TYPE_LABELS if key in labels)
    return next((_CAPACITY_TYPES[value] for value in values if value in _CAPACITY_TYPES), None)
