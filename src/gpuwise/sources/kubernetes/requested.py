"""The GPUs that a pod or a template requests: by extended resources, or by resource claims."""

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from gpuwise.model.inventory import ClaimedDevice, GpuRequest
from gpuwise.model.labels import CARD_SHARES, GPU_RESOURCE, SHARE_OF, is_certainly_gpu, is_gpu
from gpuwise.model.ports import Object
from gpuwise.model.quantity import count as devices
from gpuwise.model.quantity import quantity
from gpuwise.sources.kubernetes.claims import Claims


@dataclass(frozen=True, slots=True)
class Requested:
    """The GPUs of one pod.

    Attributes:
        request: what it requests, None if that is not known.
        unknown: why it is not known, "" if it is.
        claimed: devices that resource claims allocate to it.
        more: what it requests of further resources.
    """

    request: GpuRequest | None
    unknown: str = ""
    claimed: tuple[ClaimedDevice, ...] = ()
    more: tuple[GpuRequest, ...] = ()


class Requests:
    """Reads the GPU requests of pods and templates.

    Args:
        claims: the cluster's resource claims.
        names: further extended resources that count GPUs, from the configuration.
    """

    def __init__(self, claims: Claims, names: frozenset[str] = frozenset()) -> None:
        self._claims = claims
        self._names = names

    def of(self, spec: Object | None, namespace: str, status: Object | None = None) -> Requested | None:
        """Return the GPUs that a pod spec requests, None if none. Of several resources, the largest count is first.

        Args:
            spec: of a pod or of a template.
            namespace: of the pod.
            status: of the pod.

        Raises:
            ValueError: a resource quantity cannot be read.
        """
        claimed = self._claims.of(spec, namespace, status)
        extended = {name: one for name in self._others(spec) if (one := self._claims.of_resource(name)) is not None}
        unknown = claimed.unknown or next((one for one in extended.values() if isinstance(one, str)), "")
        if unknown:
            return Requested(None, unknown, claimed.devices)
        counts: dict[str, int] = defaultdict(int, claimed.counts)
        for name, count in _counts(spec, self._names | extended.keys()).items():
            counts[extended[name][0] if name in extended else name] += count
        if not counts:
            return None
        first = max(counts, key=lambda resource: (resource == GPU_RESOURCE, counts[resource], resource))
        more = sorted(name for name in counts if name != first and (name in self._names or is_certainly_gpu(name)))
        return Requested(
            GpuRequest(first, counts[first]),
            "",
            claimed.devices,
            tuple(GpuRequest(name, counts[name]) for name in more),
        )

    def _others(self, spec: Object | None) -> set[str]:
        """Return the resources of a pod spec that are not known to count GPUs."""
        names = set[str]().union(*(amounts(container) for container in _containers(spec)))
        return {name for name in names if not is_gpu(name) and name not in self._names}

    def containers(self, spec: Object | None) -> int:
        """Count the containers of a pod spec that request GPUs, including init containers.

        Raises:
            ValueError: a resource quantity cannot be read.
        """
        return sum(
            any(True for _ in _gpus(one, self._names)) or bool((one.get("resources") or {}).get("claims"))
            for one in _containers(spec)
        )


def shares_card(spec: Object | None) -> bool:
    """Return whether a container of a pod spec limits its share of a card, as with HAMi."""
    return any(CARD_SHARES & amounts(container).keys() for container in _containers(spec))


def amounts(container: Object) -> dict[str, str]:
    """Return the amounts of a container by resource; limits count before requests."""
    resources = container.get("resources") or {}
    return dict(resources.get("requests") or {}) | dict(resources.get("limits") or {})


def _containers(spec: Object | None) -> list[Object]:
    return [*((spec or {}).get("containers") or []), *((spec or {}).get("initContainers") or [])]


def _counts(spec: Object | None, names: Collection[str]) -> dict[str, int]:
    # Init containers run before the others and release their devices; sidecars keep them. The request is the larger of
    # the maximum while the init containers run, and the sum of sidecars and containers (KEP-753).
    sidecars: dict[str, int] = {}
    starting: dict[str, int] = {}
    for container in (spec or {}).get("initContainers") or []:
        is_sidecar = container.get("restartPolicy") == "Always"
        for name, count in _gpus(container, names):
            allocated = sidecars.get(name, 0) + count
            starting[name] = max(starting.get(name, 0), allocated)
            if is_sidecar:
                sidecars[name] = allocated
    counts = dict(sidecars)
    for container in (spec or {}).get("containers") or []:
        for name, count in _gpus(container, names):
            counts[name] = counts.get(name, 0) + count
    for name, allocated in starting.items():
        counts[name] = max(counts.get(name, 0), allocated)
    return counts


def _gpus(container: Object, names: Collection[str]) -> Iterator[tuple[str, int]]:
    wanted = amounts(container)
    counts = {name: devices(amount) for name, amount in wanted.items() if is_gpu(name) or name in names}
    if not counts:
        # A share of a card without a number of cards is a share of one card.
        counts = {SHARE_OF[name]: 1 for name in sorted(CARD_SHARES & wanted.keys()) if quantity(wanted[name]) > 0}
    yield from ((name, count) for name, count in counts.items() if count)
