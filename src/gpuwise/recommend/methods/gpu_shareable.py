"""Let several pods use one card: MIG, MPS or time-slicing, by what the workload needs and what each method risks."""

from dataclasses import dataclass

from gpuwise.model.changes import Share, Sharing
from gpuwise.model.findings import Finding
from gpuwise.model.gpu import GpuType
from gpuwise.model.inventory import WorkloadClass
from gpuwise.model.labels import GPU_RESOURCE
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked, Evidence, Recommendation
from gpuwise.model.signal import Signal
from gpuwise.recommend.case import HOURS_PER_MONTH, Case, recommendation
from gpuwise.recommend.estimators import needed_activity, needed_memory, needs
from gpuwise.recommend.proposal import Proposal
from gpuwise.recommend.settings import HOUR_S

STAGE = "sharing"
_ACTIVITY = needed_activity(Signal.SM_ACTIVITY)


@dataclass(frozen=True, slots=True)
class Option:
    """One method for one workload.

    Attributes:
        method: which.
        tenants: pods of its size that one card holds.
        risk: of interference and of isolation, 0 to 4.
        text: what it offers and what it lacks.
    """

    method: Sharing
    tenants: int
    risk: int
    text: str


def share_card(case: Case) -> Recommendation | Blocked:
    """Share the card of a workload that needs little of it, by the least risky method, or say why not."""
    request, gpu = case.workload.request, case.gpu_type
    if request is None or not case.workload.pods:
        return case.blocked(STAGE, Reason.ALREADY_STOPPED, "it holds no GPU now")
    if request.resource != GPU_RESOURCE or request.count != 1:
        return case.blocked(STAGE, Reason.NOT_SHAREABLE, "only a workload of one whole card a pod can share it")
    if gpu is None:
        return case.blocked(STAGE, Reason.UNKNOWN_GPU_TYPE, "its card is unknown or not of one type")
    if case.workload.workload_class is WorkloadClass.TRAINING:
        return case.blocked(STAGE, Reason.NOT_SHAREABLE, "training takes all that it is given")
    observed_h = case.profile.observed_s / HOUR_S
    activity, memory = _ACTIVITY(case), needed_memory(case)
    if observed_h < case.settings.min_observed_h or activity is None or memory is None:
        detail = (
            f"{observed_h:.0f} h of data; SM activity and memory, well sampled for {case.settings.min_observed_h} h"
        )
        return case.blocked(STAGE, Reason.INSUFFICIENT_DATA, detail)
    return _shared(case, gpu, activity, memory / gpu.memory_bytes)


def _shared(case: Case, gpu: GpuType, activity: float, memory: float) -> Recommendation | Blocked:
    evidence = needs(case, Signal.SM_ACTIVITY)
    options = _options(case, gpu, activity, memory)
    evidence += tuple(
        Evidence(f"{one.method.value}: {one.text}", None, "risk", one.risk, None, "of 4") for one in options
    )
    if not options:
        return case.blocked(
            STAGE, Reason.NOT_SHAREABLE, f"one {gpu.name} holds no two of its size with headroom", evidence
        )
    price = case.usd_per_gpu_h()
    if price is None:
        return case.blocked(STAGE, Reason.NO_PRICE, "could share, but no price is known for its GPUs", evidence)
    return recommendation(case, _proposal(case, options[0], price, evidence))


def _options(case: Case, gpu: GpuType, activity: float, memory: float) -> list[Option]:
    """Methods that hold two or more of it, the least risky first."""
    beside = sum(1 for other in _others(case))
    node = f"; the method holds for every card of its nodes, on which {beside} other workloads run" if beside else ""
    found = []
    fitting = next(
        (p for p in gpu.mig_profiles if _fits_slice(gpu, p.compute_slices, p.memory_bytes, activity, memory)), None
    )
    if fitting is not None and fitting.per_card > 1:
        tenants = fitting.per_card
        found.append(
            Option(Sharing.MIG, tenants, 1, f"{fitting.name} holds it; compute, memory and faults are its own")
        )
    tenants = min(int(1 / max(activity, memory, 1e-9)), case.settings.max_tenants)
    if tenants >= 2:
        # Without a slice a burst of one slows down the others, and under MPS a fatal fault of one ends all.
        mps = f"{tenants} to a card with memory limits; a fatal fault of one ends all{node}"
        found.append(Option(Sharing.MPS, tenants, 2 + (beside > 0), mps))
        slicing = f"{tenants} to a card in turns; nothing limits memory{node}"
        found.append(Option(Sharing.TIME_SLICING, tenants, 3 + (beside > 0), slicing))
    return sorted(found, key=lambda option: option.risk)


def _fits_slice(gpu: GpuType, slices: int, memory_bytes: int, activity: float, memory: float) -> bool:
    return slices / gpu.compute_slices >= activity and memory_bytes / gpu.memory_bytes >= memory


def _others(case: Case) -> set[str]:
    """Workloads that run on the same nodes: a node has one sharing method for all of its cards."""
    nodes = {pod.node for pod in case.workload.pods if pod.node}
    return {other for node in nodes for other in case.fleet.tenants(node)} - {case.workload.ref.uid}


def _proposal(case: Case, option: Option, price: float, evidence: tuple[Evidence, ...]) -> Proposal:
    gpu_h = case.gpus_now * (1 - 1 / option.tenants) * HOURS_PER_MONTH
    return Proposal(
        finding=Finding.GPU_SHAREABLE,
        reasons=(Reason.FITS_SHARE,),
        change=Share(option.method, option.tenants),
        # Low end: nothing, until somebody takes the room.
        saving=case.saving(gpu_h, price, low=0.0),
        risk=option.risk,
        coverage=min(case.profile.coverage[Signal.SM_ACTIVITY], case.profile.coverage[Signal.MEMORY_USED]),
        evidence=evidence,
    )
