"""Pods and pod templates: the GPUs they request, and their owners."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from gpuwise.model.inventory import GpuRequest, Pod
from gpuwise.model.labels import CARD_SHARES, GPU_RESOURCE, is_gpu
from gpuwise.model.ports import Object
from gpuwise.model.quantity import count as devices
from gpuwise.model.quantity import quantity
from gpuwise.sources.kubernetes.scheduling import scheduling_of


def pod_of(item: Object) -> Pod:
    """Convert a Pod object."""
    metadata, status = item["metadata"], item.get("status") or {}
    conditions = status.get("conditions") or []
    started = status.get("startTime")
    return Pod(
        name=metadata["name"],
        uid=metadata["uid"],
        node=(item.get("spec") or {}).get("nodeName"),
        phase=status.get("phase", "Unknown"),
        ready=any(entry["type"] == "Ready" and entry["status"] == "True" for entry in conditions),
        started_s=epoch_s(started) if started else None,
        annotations=metadata.get("annotations") or {},
        labels=metadata.get("labels") or {},
        scheduling=scheduling_of(item.get("spec") or {}),
    )


def gpu_request(spec: Object | None) -> GpuRequest | None:
    """Return the GPUs that a pod spec requests, None if none. Of several resources, the one with the largest count.

    Raises:
        ValueError: a resource quantity cannot be read.
    """
    # Init containers run before the others and release their devices; sidecars keep them. The request is the larger of
    # the maximum while the init containers run, and the sum of sidecars and containers (KEP-753).
    sidecars: dict[str, int] = {}
    starting: dict[str, int] = {}
    for container in (spec or {}).get("initContainers") or []:
        is_sidecar = container.get("restartPolicy") == "Always"
        for name, count in _gpus(container):
            allocated = sidecars.get(name, 0) + count
            starting[name] = max(starting.get(name, 0), allocated)
            if is_sidecar:
                sidecars[name] = allocated
    counts = dict(sidecars)
    for container in (spec or {}).get("containers") or []:
        for name, count in _gpus(container):
            counts[name] = counts.get(name, 0) + count
    for name, allocated in starting.items():
        counts[name] = max(counts.get(name, 0), allocated)
    if not counts:
        return None
    name = max(counts, key=lambda resource: (resource == GPU_RESOURCE, counts[resource], resource))
    return GpuRequest(name, counts[name])


def requesting_containers(spec: Object | None) -> int:
    """Count the containers of a pod spec that request GPUs, including init containers.

    Raises:
        ValueError: a resource quantity cannot be read.
    """
    containers = [*((spec or {}).get("containers") or []), *((spec or {}).get("initContainers") or [])]
    return sum(any(True for _ in _gpus(container)) for container in containers)


def shares_card(spec: Object | None) -> bool:
    """Return whether a container of a pod spec limits its share of a card, as with HAMi."""
    containers = [*((spec or {}).get("containers") or []), *((spec or {}).get("initContainers") or [])]
    return any(CARD_SHARES & _amounts(container).keys() for container in containers)


def _gpus(container: Object) -> Iterator[tuple[str, int]]:
    amounts = _amounts(container)
    counts = {name: devices(amount) for name, amount in amounts.items() if is_gpu(name)}
    if not counts and any(quantity(amounts[name]) > 0 for name in CARD_SHARES & amounts.keys()):
        counts = {GPU_RESOURCE: 1}
    yield from ((name, count) for name, count in counts.items() if count)


def _amounts(container: Object) -> dict[str, str]:
    resources = container.get("resources") or {}
    return dict(resources.get("requests") or {}) | dict(resources.get("limits") or {})


def epoch_s(text: str) -> int:
    """Convert a time from the Kubernetes API to epoch seconds."""
    return int(datetime.fromisoformat(text).timestamp())


def controller_of(item: Object) -> Object | None:
    """Return the controlling owner reference; if none is marked as controller, the first one."""
    references: Iterable[Object] = item["metadata"].get("ownerReferences") or ()
    return next((one for one in references if one.get("controller")), next(iter(references), None))
