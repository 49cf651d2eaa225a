"""How many physical cards a node has, and the MIG instances on them, from labels, annotations and allocatable units.

A device plugin may offer a card several times (time-slicing, MPS, HAMi, Volcano) or in parts (MIG). Cards are capacity,
offered units are not.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gpuwise.model.gpu import GpuType, mig_share
from gpuwise.model.labels import (
    GKE_CLIENTS_LABEL,
    GKE_PARTITION_LABEL,
    GPU_COUNT_LABEL,
    GPU_REPLICAS_LABEL,
    GPU_RESOURCE,
    MIG_RESOURCE_PREFIX,
    SHARED_GPU_RESOURCE,
    is_gpu,
)
from gpuwise.model.quantity import count as devices
from gpuwise.sources.kubernetes.claims import Device

# Karpenter's labels: "Well-Known Labels" of its AWS provider, and of its Azure provider.
COUNT_LABELS = (GPU_COUNT_LABEL, "karpenter.k8s.aws/instance-gpu-count", "karpenter.azure.com/sku-gpu-count")
# "GPU-<uuid>,10,32768,100,NVIDIA-Tesla V100-PCIE-32GB,0,true:" per card, in newer HAMi a JSON list of objects (HAMi,
# docs/develop/protocol.md; Volcano's vGPU plugin writes the same text).
_REGISTERS = ("hami.io/node-nvidia-register", "volcano.sh/node-vgpu-register")
# How often HAMi and Volcano offer each card if nobody configures it: deviceSplitCount and device-split-count.
_DEFAULT_SPLIT = 10
_SPLIT_RESOURCE = "volcano.sh/vgpu-number"
_SHARED = ".shared"
_SINGLE = re.compile(r"-MIG-(?P<profile>\d+g\.\d+gb)")


@dataclass(frozen=True, slots=True)
class NodeGpus:
    """The GPUs of a node.

    Attributes:
        cards: physical cards.
        mig: MIG instances by profile.
        whole: units of nvidia.com/gpu that are whole cards.
        pods_per_card: how many pods may share a card or an instance.
    """

    cards: int
    mig: Mapping[str, int]
    whole: int
    pods_per_card: int = 1


def gpus_of(
    product: str,
    gpu: GpuType | None,
    metadata: Mapping[str, Mapping[str, str]],
    status: Mapping[str, Mapping[str, str]],
    *,
    claimable: Sequence[Device],
    split: bool,
    names: Sequence[str],
) -> NodeGpus:
    """Count the cards and MIG instances of a node.

    Args:
        product: of the node's GPUs.
        gpu: their type, None if unknown.
        metadata: of the node.
        status: of the node; its capacity counts unhealthy devices, which are not allocatable.
        claimable: devices of its ResourceSlices.
        split: pods of the node request shares of cards, as with HAMi.
        names: further resources that count GPUs.

    Raises:
        ValueError: a resource quantity cannot be read.
    """
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    units = _units(status.get("allocatable"), names)
    healthy = units.get(GPU_RESOURCE, 0)
    for name, count in _units(status.get("capacity"), names).items():
        units[name] = max(count, units.get(name, 0))
    replicas = _number(labels, GPU_REPLICAS_LABEL, GKE_CLIENTS_LABEL)
    mig = _instances(units, replicas or 1)
    plain = {name: count for name, count in units.items() if not name.startswith(MIG_RESOURCE_PREFIX)}
    registered = registered_cards(annotations)
    counted = _number(labels, *COUNT_LABELS)
    single = _single(product, labels)
    whole = plain.get(GPU_RESOURCE, 0)
    if single and (offered := counted if "-MIG-" in product and counted else whole):
        # The device plugin (MIG strategy "single") and GKE offer each instance as one nvidia.com/gpu.
        instances = offered // (replicas or 1)
        per_card = _per_card(gpu, single)
        cards = counted if counted and "-MIG-" not in product else math.ceil(instances / per_card)
        return NodeGpus(cards, {single: instances}, 0, replicas or 1)
    cards = counted or len(registered) or _cards(plain, replicas or (_DEFAULT_SPLIT if split else 1), names)
    cards = max(cards, len({device.card for device in claimable}))
    if not cards and mig:
        cards = math.ceil(sum((mig_share(name, gpu) or 1.0) * count for name, count in mig.items()) - 1e-9)
    return NodeGpus(cards, mig, min(healthy, cards), replicas or max(1, whole // cards if cards else 1))


def _units(amounts: Mapping[str, str] | None, names: Sequence[str]) -> dict[str, int]:
    return {name: devices(amount) for name, amount in (amounts or {}).items() if is_gpu(name) or name in names}


def registered_cards(annotations: Mapping[str, str]) -> list[str]:
    """Return the types of the cards that HAMi or Volcano registers on a node; empty if it registers none."""
    text = next((annotations[name] for name in _REGISTERS if annotations.get(name)), "")
    if text.startswith("["):
        try:
            cards = json.loads(text)
        except ValueError:
            return []
        return [str(card.get("type", "")) for card in cards if isinstance(card, dict)]
    rows = [card.split(",") for card in text.split(":") if card.startswith(("GPU-", "MIG-"))]
    return [row[4] if len(row) > 4 else "" for row in rows]


def _number(labels: Mapping[str, str], *names: str) -> int:
    """Return the first of some labels that is a number, 0 if none is."""
    return next((int(labels[name]) for name in names if labels.get(name, "").isdecimal()), 0)


def _instances(units: Mapping[str, int], replicas: int) -> dict[str, int]:
    """Return the MIG instances by profile; the device plugin's ".shared" resource offers each several times."""
    found: dict[str, int] = {}
    for name, count in units.items():
        if name.startswith(MIG_RESOURCE_PREFIX) and count:
            profile = name.removeprefix(MIG_RESOURCE_PREFIX)
            real = math.ceil(count / replicas) if profile.endswith(_SHARED) else count
            profile = profile.removesuffix(_SHARED)
            found[profile] = found.get(profile, 0) + real
    return found


def _cards(units: Mapping[str, int], replicas: int, names: Sequence[str]) -> int:
    """Count cards by allocatable units: several plugins may offer the same cards, configured resources offer others.

    Other names under nvidia.com are GPUs where nothing else is, as KubeVirt's, and else more likely network devices.
    """
    offers = {
        GPU_RESOURCE: math.ceil((units.get(GPU_RESOURCE, 0) + units.get(SHARED_GPU_RESOURCE, 0)) / replicas),
        _SPLIT_RESOURCE: math.ceil(units.get(_SPLIT_RESOURCE, 0) / _DEFAULT_SPLIT),
        "volcano.sh/gpu-number": units.get("volcano.sh/gpu-number", 0),
        "aliyun.com/gpu-count": units.get("aliyun.com/gpu-count", 0),
    }
    known = max(offers.values())
    others = sum(
        math.ceil(count / replicas) if name.endswith(_SHARED) else count
        for name, count in units.items()
        if name not in offers and name != SHARED_GPU_RESOURCE and (name in names or not known)
    )
    return known + others


def _single(product: str, labels: Mapping[str, str]) -> str:
    """Return the MIG profile of every nvidia.com/gpu of the node, "" if they are whole cards."""
    found = _SINGLE.search(product)
    return found["profile"] if found else labels.get(GKE_PARTITION_LABEL, "")


def _per_card(gpu: GpuType | None, name: str) -> int:
    """Return how many instances of a profile fit on a card; estimated from its share if the profile is not known."""
    profile = gpu.mig_profile(name) if gpu else None
    share = mig_share(name, gpu)
    return profile.per_card if profile else max(1, int(1 / share)) if share else 1
