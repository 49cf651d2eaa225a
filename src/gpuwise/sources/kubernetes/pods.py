"""Pods and pod templates: the GPUs they ask for, and who owns them."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from gpuwise.model.inventory import GpuRequest, Pod
from gpuwise.model.labels import CARD_SHARES, GPU_RESOURCE, is_gpu
from gpuwise.model.ports import Object
from gpuwise.model.quantity import count as devices
from gpuwise.model.quantity import quantity


def pod_of(item: Object) -> Pod:
    """A Pod as gpuwise sees it."""
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
    )


def gpu_request(spec: Object | None) -> GpuRequest | None:
    """GPUs that a pod spec asks for, None if none; where it asks for several kinds, the one it wants most of.

    Raises:
        ValueError: an amount cannot be read.
    """
    # Init containers run before the others and give their devices back, but for sidecars, which stay: the larger of
    # what is held while each one starts, and of what is held at the end (KEP-753).
    staying: dict[str, int] = {}
    most: dict[str, int] = {}
    for container in (spec or {}).get("initContainers") or []:
        stays = container.get("restartPolicy") == "Always"
        for name, count in _gpus(container):
            held = staying.get(name, 0) + count
            most[name] = max(most.get(name, 0), held)
            if stays:
                staying[name] = held
    counts = dict(staying)
    for container in (spec or {}).get("containers") or []:
        for name, count in _gpus(container):
            counts[name] = counts.get(name, 0) + count
    for name, held in most.items():
        counts[name] = max(counts.get(name, 0), held)
    if not counts:
        return None
    name = max(counts, key=lambda resource: (resource == GPU_RESOURCE, counts[resource], resource))
    return GpuRequest(name, counts[name])


def asking(spec: Object | None) -> int:
    """How many containers of a pod spec ask for GPUs, init containers included.

    Raises:
        ValueError: an amount cannot be read.
    """
    containers = [*((spec or {}).get("containers") or []), *((spec or {}).get("initContainers") or [])]
    return sum(any(True for _ in _gpus(container)) for container in containers)


def shares_card(spec: Object | None) -> bool:
    """Whether a container of a pod spec says how much of a card it may use, as HAMi's do."""
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
    """Epoch seconds of a time as the API writes it."""
    return int(datetime.fromisoformat(text).timestamp())


def controller_of(item: Object) -> Object | None:
    """The controlling owner reference; the first one where none says that it controls."""
    references: Iterable[Object] = item["metadata"].get("ownerReferences") or ()
    return next((one for one in references if one.get("controller")), next(iter(references), None))
