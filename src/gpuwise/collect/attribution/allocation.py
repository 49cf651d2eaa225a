"""Allocations: which container was allocated which device, and how each allocator names its devices."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from gpuwise.collect.reading import Device


@dataclass(frozen=True, slots=True, order=True)
class Container:
    """A container of a pod."""

    namespace: str
    pod: str
    name: str


@dataclass(frozen=True, slots=True)
class Allocation:
    """One device of one container.

    Attributes:
        container: the container that the device is allocated to.
        device: the device id, as the device plugin or the DRA driver names it.
    """

    container: Container
    device: str


class Allocations(Protocol):
    """The device allocations on this node."""

    def list(self) -> tuple[Allocation, ...]:
        """All allocations on the node.

        Raises:
            SourceError: the allocations cannot be read; they are then unknown, not empty.
        """
        ...

    def of_pod(self, namespace: str, pod: str) -> tuple[Allocation, ...]:
        """The allocations of one pod; empty if there is no such pod.

        Raises:
            SourceError: as `list`.
        """
        ...


Holders = Mapping[str, tuple[Container, ...]]
"""The containers that hold each device, by its UUID."""

# NVIDIA's device plugin before R470: "MIG-GPU-<uuid>/<GPU instance>/<compute instance>".
_OLD_MIG = re.compile(r"^MIG-(?P<card>GPU-[^/]+)/(?P<gi>\d+)/(?P<ci>\d+)$")
# GKE's device plugin: "nvidia0", "nvidia0/gi3", and with time-sharing "nvidia0/vgpu1".
_GKE = re.compile(r"^nvidia(?P<minor>\d+)(?:/gi(?P<gi>\d+))?(?:/vgpu\d+)?$")
# NVIDIA's DRA driver: "gpu-0", and "gpu-0-mig-1g10gb-19-4": name and id of the profile, first memory slice (mig.go; the
# profile id gives the size). Before, "gpu-0-mig-19-4-1": profile id, first slice, slices (deviceinfo.go).
_CLAIM = re.compile(
    r"^gpu-(?P<minor>\d+)(?:-mig-(?:(?P<profile>\d+)-(?P<start>\d+)-(?P<size>\d+)|.*[a-z].*-(?P<id>\d+)-(?P<first>\d+)))?$"
)


def holders(allocations: Iterable[Allocation], devices: Iterable[Device]) -> Holders:
    """Match allocations to the GPUs of this node; allocations of other devices are left out.

    Args:
        allocations: of all containers, including those of other device types.
        devices: the GPUs and MIG instances of this node.
    """
    uuids = _names(devices)
    found: dict[str, list[Container]] = defaultdict(list)
    for allocation in allocations:
        uuid = _uuid(allocation.device, uuids)
        if uuid is not None and allocation.container not in found[uuid]:
            found[uuid].append(allocation.container)
    return {uuid: tuple(containers) for uuid, containers in found.items() if containers}


def _names(devices: Iterable[Device]) -> dict[tuple[object, ...], str]:
    """Every name of a device, mapped to its UUID."""
    names: dict[tuple[object, ...], str] = {}
    for device in devices:
        names["uuid", device.uuid] = device.uuid
        if device.mig is None:
            names["minor", device.minor] = device.uuid
            continue
        mig = device.mig
        names["old", device.card_uuid, mig.gpu_instance_id, mig.compute_instance_id] = device.uuid
        names["gi", device.minor, mig.gpu_instance_id] = device.uuid
        names["slices", device.minor, mig.profile_id, mig.start, mig.size] = device.uuid
        names["first", device.minor, mig.profile_id, mig.start] = device.uuid
    return names


def _uuid(name: str, uuids: Mapping[tuple[object, ...], str]) -> str | None:
    bare = name.partition("::")[0]  # time-slicing and MPS name the replicas "GPU-...::0", "::1"
    if (old := _OLD_MIG.match(bare)) is not None:
        return uuids.get(("old", old["card"], int(old["gi"]), int(old["ci"])))
    if (gke := _GKE.match(bare)) is not None:
        minor = int(gke["minor"])
        return uuids.get(("minor", minor) if gke["gi"] is None else ("gi", minor, int(gke["gi"])))
    if (claim := _CLAIM.match(bare)) is not None:
        minor = int(claim["minor"])
        if claim["id"] is not None:
            return uuids.get(("first", minor, int(claim["id"]), int(claim["first"])))
        if claim["profile"] is None:
            return uuids.get(("minor", minor))
        return uuids.get(("slices", minor, int(claim["profile"]), int(claim["start"]), int(claim["size"])))
    return uuids.get(("uuid", bare))
