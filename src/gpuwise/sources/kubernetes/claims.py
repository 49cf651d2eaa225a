"""GPUs that pods request with resource claims (dynamic resource allocation, resource.k8s.io).

v1 and v1beta2 have the same fields, v1beta1 nests some of them ("exactly" is absent, devices are under "basic"). Names
of drivers, classes and attributes of NVIDIA's GPUs: k8s-dra-driver-gpu, cmd/gpu-kubelet-plugin/deviceinfo.go and
deployments/helm. A claim of a driver or class that is not known makes the pod's request unknown, never empty.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gpuwise.model.inventory import ClaimedDevice, Unread
from gpuwise.model.labels import GPU_CLASS, MIG_CLASS
from gpuwise.model.ports import Object
from gpuwise.sources.kubernetes.unread import reading

DRIVER = "gpu.nvidia.com"
# Drivers whose devices are not GPUs: NVIDIA's channels between nodes, and the drivers dranet and dra-driver-cpu of
# Kubernetes' SIGs.
_NO_GPUS = frozenset({"compute-domain.nvidia.com", "dra.net", "dra.cpu"})
OTHER_VENDORS = frozenset({"gpu.amd.com", "gpu.intel.com", "gaudi.intel.com", "neuron.aws.com", "tpu.google.com"})
_CLASSES = {
    GPU_CLASS: GPU_CLASS,
    "vfio.gpu.nvidia.com": GPU_CLASS,
    MIG_CLASS: MIG_CLASS,
    "compute-domain-daemon.nvidia.com": None,
    "compute-domain-default-channel.nvidia.com": None,
}
_CLASS_RESOURCE = "deviceclass.resource.kubernetes.io/"
_DRIVER_OF_CLASS = re.compile(r"""device\.driver\s*==\s*['"]([^'"]+)['"]""")
_MIG_TYPE = re.compile(r"""\.type\s*==\s*['"]mig['"]|\.profile\b""")

DeviceName = tuple[str, str, str]
"""Driver, pool and name of a device."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """What the resource claims of a pod or of a template request.

    Attributes:
        counts: devices by class, GPU_CLASS or MIG_CLASS.
        devices: the devices that are allocated.
        unknown: why it is not known what they request; "" if it is known.
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    devices: tuple[ClaimedDevice, ...] = ()
    unknown: str = ""


@dataclass(frozen=True, slots=True)
class Device:
    """A device that a driver's ResourceSlice offers.

    Attributes:
        node: the node that it is on, None if the slice does not name one.
        uuid: of the GPU or MIG instance, "" if not named.
        card: what identifies its card.
        profile: of a MIG instance, "" for a whole GPU.
        product: name of the GPU, "" if not named.
    """

    node: str | None
    uuid: str
    card: str
    profile: str
    product: str


class Claims:
    """The claims, templates, classes and slices of a cluster, indexed.

    Args:
        objects: objects by kind.
        unreadable: list that unreadable objects are added to.
    """

    def __init__(self, objects: Mapping[str, list[Object]], unreadable: list[Unread]) -> None:
        self._claims = {_key(item): item for item in objects.get("ResourceClaim", [])}
        self._templates = {_key(item): item for item in objects.get("ResourceClaimTemplate", [])}
        self._classes = {_key(item)[1]: item for item in objects.get("DeviceClass", [])}
        specs = ((name, item.get("spec") or {}) for name, item in self._classes.items())
        self._class_of = {str(spec["extendedResourceName"]): name for name, spec in specs if _extends(spec)}
        self.devices = dict(_devices(objects.get("ResourceSlice", []), unreadable))
        self._users = self._pods_per_device(unreadable)

    def of(self, spec: Object | None, namespace: str, status: Object | None = None) -> Claimed:
        """Return what the claims of a pod spec request.

        Args:
            spec: of a pod or of a template.
            namespace: of the pod.
            status: of the pod, which names the claims that were made from templates.
        """
        made = {one["name"]: one.get("resourceClaimName") for one in (status or {}).get("resourceClaimStatuses") or []}
        counts: dict[str, int] = defaultdict(int)
        devices: list[ClaimedDevice] = []
        unknown = ""
        for reference in (spec or {}).get("resourceClaims") or []:
            found = self._one(reference, namespace, made)
            for name, count in found.counts.items():
                counts[name] += count
            devices += found.devices
            unknown = unknown or found.unknown
        devices += self._of_extended_resource(namespace, status)
        return Claimed(dict(counts), tuple(devices), unknown)

    def _of_extended_resource(self, namespace: str, status: Object | None) -> tuple[ClaimedDevice, ...]:
        """Return the devices by which the scheduler satisfies an extended resource of the pod (KEP-5004).

        The pod's resources count them already.
        """
        name = ((status or {}).get("extendedResourceClaimStatus") or {}).get("resourceClaimName")
        claim = (self._claims.get((namespace, str(name))) if name else None) or {}
        allocation = (claim.get("status") or {}).get("allocation")
        return self._allocated(allocation).devices if allocation else ()

    def of_resource(self, name: str) -> tuple[str, int] | str | None:
        """Return what one unit of an extended resource is that a device class stands for (KEP-5004).

        Args:
            name: of the resource.

        Returns:
            As `_choice`; None also for a resource that no device class stands for.
        """
        implicit = name.removeprefix(_CLASS_RESOURCE) if name.startswith(_CLASS_RESOURCE) else None
        class_name = self._class_of.get(name, implicit)
        return None if class_name is None else self._choice({"deviceClassName": class_name})

    def _one(self, reference: Object, namespace: str, made: Mapping[str, str | None]) -> Claimed:
        name, template = reference.get("resourceClaimName"), reference.get("resourceClaimTemplateName")
        if template and reference["name"] in made:
            name = made[reference["name"]]
            if name is None:  # the template needs no claim for this pod
                return Claimed()
        claim = self._claims.get((namespace, name)) if name else None
        if claim is not None and (allocation := (claim.get("status") or {}).get("allocation")):
            return self._allocated(allocation)
        if claim is not None:
            return self._requested(claim.get("spec") or {}, f"ResourceClaim {name}")
        item = self._templates.get((namespace, template)) if template else None
        if item is not None:
            return self._requested((item.get("spec") or {}).get("spec") or {}, f"ResourceClaimTemplate {template}")
        missing = f"ResourceClaimTemplate {template}" if template else f"ResourceClaim {name}"
        return Claimed(unknown=f"its {missing} was not found: it is not known which devices it requests")

    def _allocated(self, allocation: Object) -> Claimed:
        """Return the allocated devices; admin access, as of a monitor, reserves none."""
        counts: dict[str, int] = defaultdict(int)
        devices: list[ClaimedDevice] = []
        for result in _results(allocation):
            driver = result["driver"]
            if driver in _NO_GPUS | OTHER_VENDORS:
                continue
            if driver != DRIVER:
                return Claimed(unknown=f"driver {driver} of its resource claim is not known to gpuwise")
            name = (driver, result["pool"], result["device"])
            device = self.devices.get(name)
            profile = device.profile if device else profile_of(result["device"])
            counts[MIG_CLASS if profile else GPU_CLASS] += 1
            devices.append(ClaimedDevice(device.uuid if device else "", profile, max(1, self._users.get(name, 1))))
        return Claimed(dict(counts), tuple(devices))

    def _requested(self, spec: Object, what: str) -> Claimed:
        """Return what a claim requests before devices are allocated to it."""
        counts: dict[str, int] = defaultdict(int)
        for request in (spec.get("devices") or {}).get("requests") or []:
            first = request.get("firstAvailable") or [request.get("exactly") or request]
            choices = {self._choice(choice) for choice in first}
            if len(choices) > 1:
                return Claimed(unknown=f"{what} accepts alternatives, and none is allocated yet")
            choice = choices.pop()
            if isinstance(choice, str):
                return Claimed(unknown=f"{what}: {choice}")
            if choice is not None:
                counts[choice[0]] += choice[1]
        return Claimed(dict(counts))

    def _choice(self, request: Object) -> tuple[str, int] | str | None:
        """Return the class and number of devices; None if they are no GPUs; a text if they are not known."""
        if request.get("adminAccess"):
            return None
        name = request["deviceClassName"]
        driver, kind = self._class(name)
        if driver in _NO_GPUS | OTHER_VENDORS:
            return None
        if driver != DRIVER or kind is None:
            return None if driver == DRIVER else f"device class {name} is not known to gpuwise"
        if request.get("allocationMode", "ExactCount") == "All":
            return f"it requests all devices of class {name}, and none is allocated yet"
        return kind, int(request.get("count", 1))

    def _class(self, name: str) -> tuple[str, str | None]:
        """Return the driver of a class, "" if unknown, and GPU_CLASS or MIG_CLASS."""
        item = self._classes.get(name)
        selectors = ((item or {}).get("spec") or {}).get("selectors") or []
        text = " ".join(str((one.get("cel") or {}).get("expression", "")) for one in selectors)
        drivers = set(_DRIVER_OF_CLASS.findall(text))
        if name in _CLASSES and drivers <= {DRIVER, *_NO_GPUS}:
            return DRIVER, _CLASSES[name]
        kind = MIG_CLASS if _MIG_TYPE.search(text) else GPU_CLASS
        return (drivers.pop(), kind) if len(drivers) == 1 else ("", None)

    def _pods_per_device(self, unreadable: list[Unread]) -> dict[DeviceName, int]:
        """Count the pods that each device is reserved for, over all claims that share it."""
        users: dict[DeviceName, set[str]] = defaultdict(set)
        for key, claim in self._claims.items():
            with reading("ResourceClaim", claim, unreadable):
                status = claim.get("status") or {}
                pods = {str(one.get("uid")) for one in status.get("reservedFor") or []} or {"/".join(key)}
                for result in _results(status.get("allocation") or {}):
                    users[result["driver"], result["pool"], result["device"]] |= pods
        return {name: len(pods) for name, pods in users.items()}


def _extends(spec: Any) -> bool:
    return isinstance(spec, dict) and isinstance(spec.get("extendedResourceName"), str)


def _key(item: Object) -> tuple[str, str]:
    metadata = item["metadata"]
    return str(metadata.get("namespace", "")), str(metadata["name"])


def _results(allocation: Object) -> Iterator[Object]:
    """Yield the allocated devices that are reserved: admin access reserves none."""
    for result in (allocation.get("devices") or {}).get("results") or []:
        if not result.get("adminAccess"):
            yield result


def _devices(slices: list[Object], unreadable: list[Unread]) -> Iterator[tuple[DeviceName, Device]]:
    """Yield the devices of NVIDIA's driver; only the newest generation of a pool counts."""
    newest: dict[str, int] = {}
    ours: list[tuple[Object, str, int]] = []
    for item in slices:
        with reading("ResourceSlice", item, unreadable):
            if item["spec"]["driver"] == DRIVER:
                pool, generation = item["spec"]["pool"]["name"], int(item["spec"]["pool"].get("generation", 0))
                newest[pool] = max(newest.get(pool, 0), generation)
                ours.append((item, pool, generation))
    for item, pool, generation in ours:
        node = item["spec"].get("nodeName")
        with reading("ResourceSlice", item, unreadable, nodes=frozenset([node] if isinstance(node, str) else [])):
            if generation == newest[pool]:
                yield from [
                    ((DRIVER, pool, one["name"]), _device(one, node)) for one in item["spec"].get("devices") or []
                ]


def _device(device: Object, node: str | None) -> Device:
    basic = device.get("basic") or device
    attributes: dict[str, Any] = {
        name.rpartition("/")[2]: next(iter(value.values()), "")
        for name, value in (basic.get("attributes") or {}).items()
    }
    text = {name: value for name, value in attributes.items() if isinstance(value, str)}
    profile = text.get("profile", "") or (profile_of(device["name"]) if text.get("type", "mig") == "mig" else "")
    # A GPU and the partitions and VFIO functions of it are on one card, whose address they share.
    card = text.get("pcieBusID") or text.get("parentUUID") or text.get("uuid") or device["name"].partition("-mig-")[0]
    return Device(basic.get("nodeName", node), text.get("uuid", ""), card, profile, text.get("productName", ""))


# "gpu-0-mig-1g10gb-19-4" and "gpu-0-mig-1g24gb-me-20-5": minor number, profile, its id, first memory slice.
_PROFILE = re.compile(r"gpu-\d+-mig-(?:(\d+)c)?(\d+g)(\d+gb)(-me)?-\d+-\d+")


def profile_of(device: str) -> str:
    """Return the MIG profile in a device's name, "" if it names none; "mig" if the name has numbers only."""
    named = _PROFILE.fullmatch(device)
    if named is None:
        return "mig" if "-mig-" in device else ""
    return (f"{named[1]}c." if named[1] else "") + f"{named[2]}.{named[3]}" + ("+me" if named[4] else "")
