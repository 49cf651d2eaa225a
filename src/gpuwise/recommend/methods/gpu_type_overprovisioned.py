"""Move to a GPU type on which the work costs less.

Where its speed and that of other workloads on both types are measured, by speed; else to a cheaper type that has the
compute, the bandwidth and the memory that the workload uses (the roofline).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from gpuwise.model.changes import ChangeGpuType
from gpuwise.model.findings import Finding
from gpuwise.model.gpu import GpuType
from gpuwise.model.inventory import CapacityType, WorkloadClass
from gpuwise.model.labels import GPU_RESOURCE
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked, Evidence, Recommendation
from gpuwise.model.signal import Signal
from gpuwise.recommend.case import HOURS_PER_MONTH, Case, recommendation
from gpuwise.recommend.engines.gpu_type_overprovisioned.fleet_speeds import LEAST_KNOWN, Expected, expected_on
from gpuwise.recommend.estimators import needed_activity, needed_memory, needs
from gpuwise.recommend.proposal import Proposal
from gpuwise.recommend.settings import HOUR_S

STAGE = "gpu-type"
_SM, _TENSOR, _DRAM = map(needed_activity, (Signal.SM_ACTIVITY, Signal.TENSOR_ACTIVITY, Signal.DRAM_ACTIVITY))
_SIGNALS = (Signal.SM_ACTIVITY, Signal.TENSOR_ACTIVITY, Signal.DRAM_ACTIVITY, Signal.MEMORY_USED)
_NAMES = ", ".join(_SIGNALS)

# Of an endpoint, a slower GPU changes how long users wait: there is no job that only takes longer.
_BY_SPEED = frozenset({WorkloadClass.TRAINING, WorkloadClass.BATCH})


@dataclass(frozen=True, slots=True)
class Need:
    """What a workload uses of a GPU, with headroom.

    Attributes:
        tflops: dense FP16 tensor TFLOPS.
        memory_gb_s: memory bandwidth, GB/s.
        memory_bytes: framebuffer.
    """

    tflops: float
    memory_gb_s: float
    memory_bytes: float

    def fits(self, gpu: GpuType) -> bool:
        """Whether a GPU type meets the need."""
        enough = gpu.tflops >= self.tflops and gpu.memory_gb_s >= self.memory_gb_s
        return enough and gpu.memory_bytes >= self.memory_bytes


def cheaper_type(case: Case) -> Recommendation | Blocked:
    """Recommend another GPU type of the fleet on which the work costs less, or return why not."""
    request, gpu = case.workload.request, case.gpu_type
    if request is None or not case.workload.active_pods:
        return case.blocked(STAGE, Reason.ALREADY_STOPPED, "it has no GPU now")
    if gpu is None or request.resource != GPU_RESOURCE:
        return case.blocked(STAGE, Reason.UNKNOWN_GPU_TYPE, "it does not use whole GPUs of one known type")
    if case.on_vgpu:
        return case.blocked(STAGE, Reason.NO_CHEAPER_TYPE, "its GPU is a vGPU, which is a part of a card")
    if request.count > 1:
        # The performance of several GPUs depends on their links (NVLink or PCIe), whose use is not measured.
        return case.blocked(STAGE, Reason.NO_CHEAPER_TYPE, "a pod with several GPUs depends on the links between them")
    by_speed = _by_speed(case, gpu)
    if by_speed and min(one.cost for one in by_speed.values()) < 1.0:
        return _chosen_by_speed(case, gpu, by_speed)
    observed_h = case.profile.observed_s / HOUR_S
    needs = [need(case) for need in (_SM, _TENSOR, _DRAM, needed_memory)]
    sm, tensor, dram, memory = needs
    if observed_h < case.settings.min_observed_h or sm is None or tensor is None or dram is None or memory is None:
        detail = f"{observed_h:.0f} h of data; {case.settings.min_observed_h} h of well-sampled {_NAMES} are required"
        return case.blocked(STAGE, Reason.INSUFFICIENT_DATA, detail)
    # The busier of the two pipes gives the share of the GPU's arithmetic in use; SM activity also counts waiting warps.
    return _chosen(case, gpu, Need(max(tensor, sm) * gpu.tflops, dram * gpu.memory_gb_s, memory), by_speed.keys())


def _by_speed(case: Case, gpu: GpuType) -> dict[GpuType, Expected]:
    """What its work costs on the offered types with enough memory on which enough other workloads were measured."""
    own, memory, now = case.fleet.speeds.get(case.workload.ref), needed_memory(case), case.usd_per_gpu_h()
    if own is None or memory is None or now is None or case.workload.workload_class not in _BY_SPEED:
        return {}
    offered = {other: price for other, price in _offered(case).items() if other.memory_bytes >= memory}
    others = [one for ref, one in case.fleet.speeds.items() if ref != case.workload.ref]
    prices = {other.name: price for other, price in offered.items()} | {gpu.name: now}
    found = expected_on(own, others, gpu.name, prices)
    return {other: found[other.name] for other in offered if other.name in found}


def _chosen_by_speed(case: Case, gpu: GpuType, by_speed: Mapping[GpuType, Expected]) -> Recommendation:
    now = case.usd_per_gpu_h()
    assert now is not None, "without a price no cost is expected"
    best, expected = min(by_speed.items(), key=lambda option: (option[1].cost, option[0].name))
    offered = _offered(case)
    about = f"cost of its work on {best.name} over that on {gpu.name}, by the speed of {expected.known} other workloads"
    evidence = (
        Evidence(f"{about} on both", Signal.WORK, "estimate", expected.cost, 1.0, "ratio"),
        Evidence(f"price of {best.name} per GPU-hour", None, "list price", offered[best], now, "USD/h"),
        *needs(case),
    )
    usd_h = now * (1.0 - expected.cost)
    return recommendation(case, _proposal(case, (gpu, best), usd_h, evidence, by_speed=True))


def _chosen(case: Case, gpu: GpuType, need: Need, by_speed: Collection[GpuType]) -> Recommendation | Blocked:
    """Choose by the roofline among the types whose speed is not known."""
    limit = case.profile.bottleneck
    evidence: tuple[Evidence, ...] = (
        *needs(case, Signal.SM_ACTIVITY, Signal.TENSOR_ACTIVITY, Signal.DRAM_ACTIVITY),
        Evidence(
            f"{_roofline(case)}: compute needed, of a {gpu.name}'s", None, "need", need.tflops, gpu.tflops, "TFLOPS"
        ),
        Evidence("memory bandwidth needed", None, "need", need.memory_gb_s, gpu.memory_gb_s, "GB/s"),
        Evidence(f"limit: {limit.limit.value}", None, "confidence", limit.confidence, None, "ratio"),
    )
    now = case.usd_per_gpu_h()
    if now is None:
        return case.blocked(STAGE, Reason.NO_PRICE, "no price is known for its GPUs", evidence)
    offered = {other: price for other, price in _offered(case).items() if other not in by_speed}
    fitting = [(price, other) for other, price in offered.items() if price < now and need.fits(other)]
    if not fitting:
        return case.blocked(STAGE, Reason.NO_CHEAPER_TYPE, "no cheaper GPU type of the fleet meets its needs", evidence)
    price, best = min(fitting, key=lambda option: (option[0], option[1].name))
    evidence += (Evidence(f"price of {best.name} per GPU-hour", None, "list price", price, now, "USD/h"),)
    return recommendation(case, _proposal(case, (gpu, best), now - price, evidence, by_speed=False))


def _roofline(case: Case) -> str:
    own = case.fleet.speeds.get(case.workload.ref)
    if own is None or case.workload.workload_class not in _BY_SPEED:
        return "by the roofline, no throughput is measured"
    return f"by the roofline, fewer than {LEAST_KNOWN} other workloads were measured on both types"


def _offered(case: Case) -> Mapping[GpuType, float]:
    """GPU types of nodes in the allowed regions, with their lowest price for the workload's present capacity type."""
    allowed: set[str | None] = set(case.settings.allowed_regions) or {node.region for node in case.nodes}
    capacity_types = case.capacity_types
    capacity_type = next(iter(capacity_types)) if len(capacity_types) == 1 else CapacityType.ON_DEMAND
    return case.fleet.cheapest(frozenset(filter(case.may_run_in, allowed)), capacity_type)


def _proposal(
    case: Case, types: tuple[GpuType, GpuType], usd_h: float, evidence: tuple[Evidence, ...], *, by_speed: bool
) -> Proposal:
    gpu, best = types
    gpu_h = case.gpus_now * HOURS_PER_MONTH
    saving = case.saving(gpu_h, usd_h, low=0.5)
    # The energy saving is left out: the power draw of this work on the other GPU type is not known.
    return Proposal(
        finding=Finding.GPU_TYPE_OVERPROVISIONED,
        reasons=(Reason.CHEAPER_BY_SPEED if by_speed else Reason.FITS_CHEAPER_TYPE,),
        change=ChangeGpuType(gpu.name, best.name),
        saving=type(saving)(saving.usd_month, saving.low_usd_month, saving.high_usd_month, 0.0),
        # Risk 3: kernels, precisions and libraries differ between GPU generations; try one replica first.
        risk=3,
        coverage=min(case.profile.coverage[signal] for signal in ((Signal.MEMORY_USED,) if by_speed else _SIGNALS)),
        evidence=evidence,
    )
