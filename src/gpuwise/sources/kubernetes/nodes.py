"""Nodes: their GPUs and their capacity type."""

import math
import re
from collections.abc import Mapping
from datetime import datetime

from gpuwise.model.gpu import COMPUTE_SLICES, GIB, GPU_TYPES, GpuType, gpu_type
from gpuwise.model.inventory import CapacityType, Node
from gpuwise.model.labels import (
    CAPACITY_TYPE_LABELS,
    GPU_COUNT_LABEL,
    GPU_MEMORY_LABEL,
    GPU_PRODUCT_LABEL,
    GPU_REPLICAS_LABEL,
    GPU_RESOURCE,
    MIG_RESOURCE_PREFIX,
    REGION_LABEL,
    ZONE_LABEL,
)
from gpuwise.model.ports import Object
from gpuwise.model.quantity import count as devices

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
)
# GKE names the 80 GB card "nvidia-a100-80gb", and the 40 GB card without its size.
_WITH_SIZE = {"nvidia-tesla-a100": "nvidia-a100-40gb"}
MIB = 2**20
_MIG_PRODUCT = re.compile(r"-MIG-(?P<profile>(?P<slices>\d+)g\.(?P<gb>\d+)gb)")


def node_of(item: Object) -> Node | None:
    """Convert a Node object; None for a node without GPUs.

    Raises:
        ValueError: a resource quantity cannot be read.
    """
    metadata = item["metadata"]
    labels = metadata.get("labels") or {}
    allocatable = (item.get("status") or {}).get("allocatable") or {}
    product = next((labels[key] for key in _PRODUCT_LABELS if labels.get(key)), "")
    gpu = _gpu_type(product, labels)
    mig = {
        name.removeprefix(MIG_RESOURCE_PREFIX): count
        for name, amount in allocatable.items()
        if name.startswith(MIG_RESOURCE_PREFIX) and (count := devices(amount))
    }
    count = _gpu_count(labels, allocatable)
    if (single := _MIG_PRODUCT.search(product)) and count:
        # MIG strategy "single": the device plugin advertises each instance as one nvidia.com/gpu.
        mig, count = {single["profile"]: count}, math.ceil(count / _per_card(gpu, single))
    if not count and not mig:
        return None
    return Node(
        name=metadata["name"],
        gpu_type=gpu,
        gpu_product=product,
        gpu_count=count,
        mig=mig,
        capacity_type=_capacity_type(labels),
        region=labels.get(REGION_LABEL),
        zone=labels.get(ZONE_LABEL),
        created_s=_created_s(metadata),
        undivided=0 if mig and single else devices(allocatable.get(GPU_RESOURCE, "0")),
    )


def _gpu_type(product: str, labels: Mapping[str, str]) -> GpuType | None:
    """Return the GPU type of a product name. If the name has no memory size, the node's memory label decides."""
    name = _WITH_SIZE.get(product, product).upper()
    named = gpu_type(name)
    mebibytes = labels.get(GPU_MEMORY_LABEL, "")
    if named is not None or not mebibytes.isdigit():
        return named
    candidates = [gpu for gpu in GPU_TYPES if gpu_type(f"{name} {gpu.memory_bytes // GIB}GB") is gpu]
    return min(candidates, key=lambda gpu: abs(gpu.memory_bytes / MIB - int(mebibytes)), default=None)


def _per_card(gpu: GpuType | None, instance: re.Match[str]) -> int:
    """Return how many instances of a profile fit on a card; estimated from compute and memory if it is not known."""
    known = gpu.mig_profile(instance["profile"]) if gpu else None
    if known is not None:
        return known.per_card
    by_compute = (gpu.compute_slices if gpu else COMPUTE_SLICES) // int(instance["slices"])
    by_memory = round(gpu.memory_bytes / GIB) // int(instance["gb"]) if gpu else by_compute
    return max(1, min(by_compute, by_memory))


def _gpu_count(labels: Mapping[str, str], allocatable: Mapping[str, str]) -> int:
    """Count physical GPUs by the label of GPU feature discovery, else by the allocatable resource.

    Allocatable does not include cards that MIG divides, and counts a time-sliced card once per replica.
    """
    labelled, replicas = labels.get(GPU_COUNT_LABEL, ""), labels.get(GPU_REPLICAS_LABEL, "")
    if labelled.isdigit():
        return int(labelled)
    return devices(allocatable.get(GPU_RESOURCE, "0")) // max(1, int(replicas) if replicas.isdigit() else 1)


def _created_s(metadata: Mapping[str, object]) -> int | None:
    """Return when the node was created, None if its timestamp is absent or cannot be read."""
    try:
        return int(datetime.fromisoformat(str(metadata.get("creationTimestamp"))).timestamp())
    except ValueError:
        return None


def _capacity_type(labels: Mapping[str, str]) -> CapacityType | None:
    values = (labels[key].lower().replace("_", "-") for key in CAPACITY_TYPE_LABELS if key in labels)
    return next((_CAPACITY_TYPES[value] for value in values if value in _CAPACITY_TYPES), None)
