"""Nodes: what GPUs they have, and how they are paid for."""

from collections.abc import Mapping

from gpuwise.model.gpu import gpu_type
from gpuwise.model.inventory import CapacityType, Node
from gpuwise.model.labels import (
    CAPACITY_TYPE_LABELS,
    GPU_COUNT_LABEL,
    GPU_PRODUCT_LABEL,
    GPU_RESOURCE,
    MIG_RESOURCE_PREFIX,
    REGION_LABEL,
)
from gpuwise.model.ports import Object

# What the clouds write under CAPACITY_TYPE_LABELS, in lower case and with "_" for "-": Karpenter on-demand, spot and
# reserved; EKS ON_DEMAND, SPOT and CAPACITY_BLOCK; GKE's label is "true" on spot nodes; AKS regular and spot.
_CAPACITY_TYPES = {
    "spot": CapacityType.SPOT,
    "true": CapacityType.SPOT,
    "on-demand": CapacityType.ON_DEMAND,
    "regular": CapacityType.ON_DEMAND,
    "false": CapacityType.ON_DEMAND,
    "reserved": CapacityType.RESERVED,
    "capacity-block": CapacityType.RESERVED,
}


def node_of(item: Object) -> Node | None:
    """A Node as gpuwise sees it, None for one without GPUs."""
    metadata = item["metadata"]
    labels = metadata.get("labels") or {}
    allocatable = (item.get("status") or {}).get("allocatable") or {}
    mig = {
        name.removeprefix(MIG_RESOURCE_PREFIX): int(count)
        for name, count in allocatable.items()
        if name.startswith(MIG_RESOURCE_PREFIX) and int(count)
    }
    count = _gpu_count(labels, allocatable)
    if not count and not mig:
        return None
    product = labels.get(GPU_PRODUCT_LABEL, "")
    return Node(
        name=metadata["name"],
        gpu_type=gpu_type(product),
        gpu_product=product,
        gpu_count=count,
        mig=mig,
        capacity_type=_capacity_type(labels),
        region=labels.get(REGION_LABEL),
    )


def _gpu_count(labels: Mapping[str, str], allocatable: Mapping[str, str]) -> int:
    """Physical GPUs: GPU feature discovery counts cards; allocatable leaves out those that are cut by MIG."""
    labelled = labels.get(GPU_COUNT_LABEL, "")
    return int(labelled) if labelled.isdigit() else int(allocatable.get(GPU_RESOURCE, "0"))


def _capacity_type(labels: Mapping[str, str]) -> CapacityType | None:
    values = (labels[key].lower().replace("_", "-") for key in CAPACITY_TYPE_LABELS if key in labels)
    return next((_CAPACITY_TYPES[value] for value in values if value in _CAPACITY_TYPES), None)
