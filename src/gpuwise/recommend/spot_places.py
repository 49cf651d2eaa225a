"""Where a workload could run on spot: regions and zones with spot nodes of its GPU type, with prices and reclaims."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from gpuwise.model.admission import admits
from gpuwise.model.gpu import GpuType
from gpuwise.model.inventory import CapacityType, GpuRequest, Node
from gpuwise.model.labels import GPU_RESOURCE, MIG_RESOURCE_PREFIX
from gpuwise.model.recommendation import Evidence
from gpuwise.recommend.case import Case
from gpuwise.recommend.engines.interruptible_on_demand import reclaims as reclaims_engine
from gpuwise.recommend.fleet import resources_of

# Places that the evidence lists.
_SHOWN = 8


@dataclass(frozen=True, slots=True, eq=False)
class SpotPlace:
    """A region and zone with spot nodes.

    Attributes:
        region: None if it is not known.
        zone: None if it is not known.
        usd_per_gpu_h: price of spot there.
        nodes: spot nodes of the GPU type there, those that exist and those that are remembered.
    """

    region: str | None
    zone: str | None
    usd_per_gpu_h: float
    nodes: tuple[Node, ...] = ()

    def __str__(self) -> str:
        """Format it for a person."""
        return self.zone or self.region or "an unknown zone"


def may_use(case: Case, node: Node) -> bool:
    """Whether a workload may run on a spot node, if it gets spot nodes: its region, resource, affinity and volumes.

    Args:
        case: the workload.
        node: a spot node; of one that no longer exists, labels and resources are not known, and count as suitable.
    """
    return case.may_run_in(node.region) and _takes(case, node)


def _takes(case: Case, node: Node) -> bool:
    """Whether a spot node offers the resource, and the affinity and volumes of the pods admit it."""
    return _offers(node, case.workload.request) and all(admits(pod, node) for pod in case.workload.active_pods)


def outside(case: Case, gpu: GpuType) -> str | None:
    """Why a preference for spot could take a workload out of the regions of its data class, None if it could not.

    The scheduler knows no data class: only the pods' own node affinity keeps them off the spot nodes of other regions.

    Args:
        case: the workload.
        gpu: its GPU type.
    """
    regions = {
        node.region or "an unknown region"
        for node in case.fleet.spot_nodes.get(gpu.name, ())
        if node.gone_s is None and not case.may_run_in(node.region) and _takes(case, node)
    }
    if not regions:
        return None
    named = ", ".join(sorted(regions))
    return f"its node affinity also admits spot nodes in {named}, which its data class does not allow: require a region"


def spot_places(case: Case, gpu: GpuType, *, past: bool = False) -> list[SpotPlace]:
    """The places with spot nodes on which a workload may run, and with a price; empty if there is none.

    Args:
        case: the workload.
        gpu: its GPU type.
        past: also places whose spot nodes no longer exist.
    """
    by_place: dict[tuple[str | None, str | None], list[Node]] = {}
    for node in case.fleet.spot_nodes.get(gpu.name, ()):
        by_place.setdefault((node.region, node.zone), []).append(node)
    found = []
    for (region, zone), here in by_place.items():
        usd = case.prices.price(gpu.name, CapacityType.SPOT, region=region, zone=zone)
        if usd is None or not any((past or node.gone_s is None) and may_use(case, node) for node in here):
            continue
        found.append(SpotPlace(region, zone, usd, tuple(here)))
    return found


def reclaims_in(case: Case, gpu: GpuType, place: SpotPlace) -> reclaims_engine.Reclaims:
    """The expected reclaims of a place: of its own nodes, shrunk to those of the GPU type in all places.

    The prior of its rate is the rate of all, which includes its own.

    Args:
        case: the workload.
        gpu: its GPU type.
        place: the place.
    """
    nodes, assumed = case.fleet.spot_nodes.get(gpu.name, ()), case.settings.spot_reclaims_month
    every = reclaims_engine.expected_reclaims(nodes, assumed=assumed, now_s=case.now_s)
    if len(place.nodes) == len(nodes):
        return every
    return reclaims_engine.expected_reclaims(place.nodes, assumed=assumed, now_s=case.now_s, prior=every.share)


def cheapest(case: Case, places: Sequence[SpotPlace], cost: Callable[[SpotPlace], float]) -> SpotPlace:
    """The place with the lowest expected cost; of equal ones, one in a region in which the workload runs now.

    Args:
        case: the workload.
        places: at least one.
        cost: expected USD per GPU-hour.
    """
    here = {node.region for node in case.nodes}
    return min(places, key=lambda one: (cost(one), one.region not in here, one.region or "", one.zone or ""))


def named_zone(best: SpotPlace, places: Sequence[SpotPlace], cost: Callable[[SpotPlace], float]) -> str | None:
    """The zone to prefer; None if it is not known, or if all places cost the same.

    Args:
        best: the cheapest place.
        places: all places.
        cost: expected USD per GPU-hour.
    """
    return best.zone if any(cost(one) > cost(best) * (1 + 1e-9) for one in places) else None


def compared(
    places: Sequence[SpotPlace], cost: Callable[[SpotPlace], float], about: Callable[[SpotPlace], str]
) -> Iterator[Evidence]:
    """The numbers of the places, cheapest first; nothing if there is only one.

    Args:
        places: all places.
        cost: expected USD per GPU-hour.
        about: what the cost follows from.
    """
    if len(places) < 2:
        return
    for one in sorted(places, key=lambda place: (cost(place), str(place)))[:_SHOWN]:
        text = f"cost per GPU-hour on spot in {one}: {about(one)}"
        yield Evidence(text, None, "expected cost", cost(one), None, "USD/h")


def price_text(place: SpotPlace) -> str:
    """The price of a place, for a person."""
    return f"price {place.usd_per_gpu_h:g}"


def _offers(node: Node, request: GpuRequest | None) -> bool:
    """Whether a node offers the resource, as far as that is known: what other plugins offer is not."""
    known = request is not None and request.resource.startswith((GPU_RESOURCE, MIG_RESOURCE_PREFIX))
    return node.gone_s is not None or request is None or not known or request.resource in resources_of(node)
