"""Let several pods share one GPU with MIG, MPS or time-slicing, by the workload's needs and the risk of each method."""

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
from gpuwise.recommend.engines.gpu_overprovisioned import slices
from gpuwise.recommend.estimators import needed_activity, needed_memory, needs
from gpuwise.recommend.proposal import Proposal
from gpuwise.recommend.settings import HOUR_S

STAGE = "sharing"
_ACTIVITY = needed_activity(Signal.SM_ACTIVITY)


@dataclass(frozen=True, slots=True)
class Option:
    """One sharing method for one workload.

    Attributes:
        method: the method.
        tenants: how many pods of the workload's size fit on one GPU.
        risk: risk of interference and of weak isolation, 0 to 4.
        text: what the method offers and what it lacks.
    """

    method: Sharing
    tenants: int
    risk: int
    text: str


def share_card(case: Case) -> Recommendation | Blocked:
    """Recommend sharing the GPU of a workload that needs little of it, by the least risky method, or return why not."""
    request, gpu = case.workload.request, case.gpu_type
    if request is None or not case.workload.active_pods:
        return case.blocked(STAGE, Reason.ALREADY_STOPPED, "it has no GPU now")
    if request.resource != GPU_RESOURCE or request.count != 1:
        return case.blocked(STAGE, Reason.NOT_SHAREABLE, "only a workload with one whole GPU per pod can share it")
    if case.workload.shares_card or any(node.pods_per_gpu > 1 for node in case.nodes):
        return case.blocked(STAGE, Reason.CARD_SHARED, "its GPU is shared already")
    if case.on_vgpu:
        return case.blocked(STAGE, Reason.NOT_SHAREABLE, "its GPU is a vGPU, which is a part of a card")
    if gpu is None:
        return case.blocked(STAGE, Reason.UNKNOWN_GPU_TYPE, "its GPU type is unknown or mixed")
    if case.workload.workload_class is WorkloadClass.TRAINING:
        return case.blocked(STAGE, Reason.NOT_SHAREABLE, "training uses all of its GPU")
    observed_h = case.profile.observed_s / HOUR_S
    activity, memory = _ACTIVITY(case), needed_memory(case)
    if observed_h < case.settings.min_observed_h or activity is None or memory is None:
        needed_h = case.settings.min_observed_h
        detail = f"{observed_h:.0f} h of data; {needed_h} h of well-sampled SM activity and memory are required"
        return case.blocked(STAGE, Reason.INSUFFICIENT_DATA, detail)
    return _shared(case, gpu, activity, memory / gpu.memory_bytes)


def _shared(case: Case, gpu: GpuType, activity: float, memory: float) -> Recommendation | Blocked:
    evidence = needs(case, Signal.SM_ACTIVITY)
    options = _options(case, gpu, activity, memory)
    evidence += tuple(
        Evidence(f"{option.method.value}: {option.text}", None, "risk", option.risk, None, "of 4") for option in options
    )
    if not options:
        return case.blocked(
            STAGE, Reason.NOT_SHAREABLE, f"two pods of its size do not fit on one {gpu.name} with headroom", evidence
        )
    price = case.usd_per_gpu_h()
    if price is None:
        return case.blocked(
            STAGE, Reason.NO_PRICE, "it could share its GPU, but no price is known for its GPUs", evidence
        )
    return recommendation(case, _proposal(case, options[0], price, evidence))


def _options(case: Case, gpu: GpuType, activity: float, memory: float) -> list[Option]:
    """Sharing methods with which two or more of its pods fit on one GPU, the least risky first."""
    options = []
    fitting = next(iter(slices.fitting_slices(gpu, activity, memory * gpu.memory_bytes)), None)
    if fitting is not None and fitting.per_card > 1:
        isolated = f"it fits {fitting.name}; compute, memory and faults are isolated"
        options.append(Option(Sharing.MIG, fitting.per_card, 1, isolated))
    tenants = min(int(1 / max(activity, memory, 1e-9)), case.settings.max_tenants)
    if tenants >= 2:
        others = len(_others(case))
        node = f"; the method applies to all GPUs of its nodes, on which {others} other workloads run" if others else ""
        # Without MIG a burst of one pod slows down the others, and under MPS a fatal fault of one pod stops all.
        mps = f"{tenants} pods per GPU with memory limits; a fatal fault of one stops all{node}"
        options.append(Option(Sharing.MPS, tenants, 2 + (others > 0), mps))
        slicing = f"{tenants} pods per GPU take turns; memory is not limited{node}"
        options.append(Option(Sharing.TIME_SLICING, tenants, 3 + (others > 0), slicing))
    return sorted(options, key=lambda option: option.risk)


def _others(case: Case) -> set[str]:
    """Other workloads on the same nodes: a node uses one sharing method for all of its GPUs."""
    nodes, tenants = {pod.node for pod in case.workload.active_pods if pod.node}, case.fleet.tenants
    return set().union(*(tenants.get(node, ()) for node in nodes)) - {case.workload.ref.uid}


def _proposal(case: Case, option: Option, price: float, evidence: tuple[Evidence, ...]) -> Proposal:
    gpu_h = case.gpus_now * (1 - 1 / option.tenants) * HOURS_PER_MONTH
    return Proposal(
        finding=Finding.GPU_SHAREABLE,
        reasons=(Reason.FITS_SHARE,),
        change=Share(option.method, option.tenants),
        # Low end: nothing is saved until another pod uses the freed part of the GPU.
        saving=case.saving(gpu_h, price, low=0.0),
        risk=option.risk,
        coverage=min(case.profile.coverage[Signal.SM_ACTIVITY], case.profile.coverage[Signal.MEMORY_USED]),
        evidence=evidence,
    )
