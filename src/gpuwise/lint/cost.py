"""What a manifest costs: GPUs by the price of the places where it may run."""

from collections.abc import Iterator, Sequence

from gpuwise.lint.finding import Code, Finding
from gpuwise.lint.places import admitted, implied
from gpuwise.lint.subject import JOBS, Group, Subject
from gpuwise.model.gpu import mig_share
from gpuwise.model.inventory import Node
from gpuwise.model.labels import GPU_CLASS, GPU_RESOURCE, MIG_RESOURCE_PREFIX
from gpuwise.model.price import PriceBook
from gpuwise.recommend.case import HOURS_PER_MONTH


class _Unknown(Exception):
    """Why the cost is not known, and what to do about it."""

    def __init__(self, why: str, hint: str = "") -> None:
        super().__init__(why)
        self.hint = hint


def cost(subject: Subject, prices: PriceBook, nodes: Sequence[Node]) -> Iterator[Finding]:
    """Yield what a workload costs, or why that is not known; never 0 for what is not known.

    Args:
        subject: the workload.
        prices: of GPU-hours.
        nodes: of the fleet; empty if it is not known.
    """
    try:
        text = _text(subject, prices, nodes)
    except _Unknown as error:
        yield subject.info(Code.COST_UNKNOWN, str(error), error.hint, subject.spec_path)
    else:
        yield subject.info(Code.COST, text, "", subject.spec_path)


def _text(subject: Subject, prices: PriceBook, nodes: Sequence[Node]) -> str:
    low = high = gpus = 0.0
    each = any(group.pods is None for group in subject.groups)
    types: set[str] = set()
    for group in subject.groups:
        pods = 1 if group.pods is None else group.pods
        for place in _places(group, nodes):
            types.add(f"{place.gpu_type.name if place.gpu_type else '?'} {place.capacity_type or 'on-demand'}")
        usd = [_usd_h(group, place, prices) for place in _places(group, nodes)]
        low, high = low + pods * min(usd), high + pods * max(usd)
        gpus += pods * sum(_share(one.resource, None) * one.count for one in group.requests)
    if subject.kind in JOBS:
        span, rate = (low, high), "an hour while it runs"
    else:
        span, rate = (low * HOURS_PER_MONTH, high * HOURS_PER_MONTH), "a month if it always runs"
    shown = f"{span[0]:,.0f}" if round(span[0]) == round(span[1]) else f"{span[0]:,.0f} to {span[1]:,.0f}"
    per = " per replica" if each else ""
    return f"{gpus:.3g} GPUs{per} ({', '.join(sorted(types))}) cost {shown} USD {rate}, by {prices.source}"


def _places(group: Group, nodes: Sequence[Node]) -> list[Node]:
    """The places by affinity if that names the GPU type everywhere, else the nodes that it admits."""
    named = [place for term in group.scheduling.terms for place in implied(term)]
    if named and all(place.gpu_type is not None for place in named):
        return named
    if group.unknown:
        raise _Unknown(f"the GPUs that it requests are not known: {group.unknown}")
    found = admitted(group, nodes)
    if not found:
        if nodes:
            raise _Unknown("no node of the fleet admits it")
        hint = "name the GPU type in a node selector, or give --kubeconfig or --recording"
        raise _Unknown("its affinity names no GPU type, and no fleet is given", hint)
    return found


def _usd_h(group: Group, place: Node, prices: PriceBook) -> float:
    if group.unknown:
        raise _Unknown(f"the GPUs that it requests are not known: {group.unknown}")
    price = prices.of_node(place)
    if price is None:
        name = place.gpu_type.name if place.gpu_type is not None else place.gpu_product or "an unknown GPU type"
        problem = f"{prices.source} has no price of {name} {place.capacity_type or 'on-demand'}"
        raise _Unknown(problem, "add it to the file of --prices")
    if place.pods_per_gpu > 1:
        raise _Unknown("its GPUs are shared, and the part that it uses is not known")
    return price * sum(one.count * _part(one.resource, place) for one in group.requests)


def _part(resource: str, place: Node) -> float:
    if resource.startswith(MIG_RESOURCE_PREFIX):
        return _share(resource, place)
    return _share(resource, place) * place.gpu_fraction


def _share(resource: str, place: Node | None) -> float:
    """Whole GPUs of one unit of a resource."""
    if resource in (GPU_RESOURCE, GPU_CLASS):
        return 1.0
    if resource.startswith(MIG_RESOURCE_PREFIX):
        share = mig_share(resource.removeprefix(MIG_RESOURCE_PREFIX), place.gpu_type if place else None)
        if share is not None:
            return share
    raise _Unknown(f"the part of a GPU that {resource} stands for is not known")
