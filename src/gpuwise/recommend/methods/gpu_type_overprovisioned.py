"""Move to a cheaper GPU type that has the compute, the bandwidth and the memory that the workload uses."""

from dataclasses import dataclass

from gpuwise.model.changes import ChangeGpuType
from gpuwise.model.findings import Finding
from gpuwise.model.gpu import GpuType
from gpuwise.model.inventory import CapacityType
from gpuwise.model.labels import GPU_RESOURCE
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked, Evidence, Recommendation
from gpuwise.model.signal import Signal
from gpuwise.recommend.case import HOURS_PER_MONTH, Case, recommendation
from gpuwise.recommend.estimators import needed_activity, needed_memory, needs
from gpuwise.recommend.proposal import Proposal
from gpuwise.recommend.settings import HOUR_S

STAGE = "gpu-type"
_SM, _TENSOR, _DRAM = map(needed_activity, (Signal.SM_ACTIVITY, Signal.TENSOR_ACTIVITY, Signal.DRAM_ACTIVITY))
_SIGNALS = (Signal.SM_ACTIVITY, Signal.TENSOR_ACTIVITY, Signal.DRAM_ACTIVITY, Signal.MEMORY_USED)

_ROOFLINE = "by the roofline, no throughput is measured"


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
    """Recommend another GPU type of the fleet that meets the need at a lower price, or return why not."""
    request, gpu = case.workload.request, case.gpu_type
    if request is None or not case.workload.active_pods:
        return case.blocked(STAGE, Reason.ALREADY_STOPPED, "it has no GPU now")
    if gpu is None or request.resource != GPU_RESOURCE:
        return case.blocked(STAGE, Reason.UNKNOWN_GPU_TYPE, "it does not use whole GPUs of one known type")
    if any(node.gpu_fraction < 1.0 for node in case.nodes):
        return case.blocked(STAGE, Reason.NO_CHEAPER_TYPE, "its GPU is a vGPU, which is a part of a card")
    if request.count > 1:
        # The performance of several GPUs depends on their links (NVLink or PCIe), whose use is not measured.
        return case.blocked(STAGE, Reason.NO_CHEAPER_TYPE, "a pod with several GPUs depends on the links between them")
    observed_h = case.profile.observed_s / HOUR_S
    needs = [need(case) for need in (_SM, _TENSOR, _DRAM, needed_memory)]
    sm, tensor, dram, memory = needs
    if observed_h < case.settings.min_observed_h or sm is None or tensor is None or dram is None or memory is None:
        names = ", ".join(signal.value for signal in _SIGNALS)
        detail = f"{observed_h:.0f} h of data; {case.settings.min_observed_h} h of well-sampled {names} are required"
        return case.blocked(STAGE, Reason.INSUFFICIENT_DATA, detail)
    # The busier of the two pipes gives the share of the GPU's arithmetic in use; SM activity also counts waiting warps.
    return _chosen(case, gpu, Need(max(tensor, sm) * gpu.tflops, dram * gpu.memory_gb_s, memory))


def _chosen(case: Case, gpu: GpuType, need: Need) -> Recommendation | Blocked:
    limit = case.profile.bottleneck
    evidence: tuple[Evidence, ...] = (
        *needs(case, Signal.SM_ACTIVITY, Signal.TENSOR_ACTIVITY, Signal.DRAM_ACTIVITY),
        Evidence(f"{_ROOFLINE}: compute needed, of a {gpu.name}'s", None, "need", need.tflops, gpu.tflops, "TFLOPS"),
        Evidence("memory bandwidth needed", None, "need", need.memory_gb_s, gpu.memory_gb_s, "GB/s"),
        Evidence(f"limit: {limit.limit.value}", None, "confidence", limit.confidence, None, "ratio"),
    )
    now = case.usd_per_gpu_h()
    if now is None:
        return case.blocked(STAGE, Reason.NO_PRICE, "no price is known for its GPUs", evidence)
    fitting = [(price, other) for other, price in _offered(case).items() if price < now and need.fits(other)]
    if not fitting:
        return case.blocked(STAGE, Reason.NO_CHEAPER_TYPE, "no cheaper GPU type of the fleet meets its needs", evidence)
    price, best = min(fitting, key=lambda option: (option[0], option[1].name))
    evidence += (Evidence(f"price of {best.name} per GPU-hour", None, "list price", price, now, "USD/h"),)
    return recommendation(case, _proposal(case, gpu, best, now - price, evidence))


def _offered(case: Case) -> dict[GpuType, float]:
    """GPU types of nodes in the allowed regions, with their lowest price for the workload's present capacity type."""
    allowed: set[str | None] = set(case.settings.allowed_regions) or {node.region for node in case.nodes}
    capacity_types = case.capacity_types
    capacity_type = capacity_types.pop() if len(capacity_types) == 1 else CapacityType.ON_DEMAND
    offers = [
        offer
        for offer in case.fleet.offers
        if offer.region in allowed
        and case.may_run_in(offer.region)
        and offer.resource == GPU_RESOURCE
        and offer.capacity_type == capacity_type
    ]
    cheapest: dict[GpuType, float] = {}
    for offer in offers:
        price = case.prices.price(offer.gpu.name, capacity_type, region=offer.region, zone=offer.zone)
        if price is not None:
            cheapest[offer.gpu] = min(price, cheapest.get(offer.gpu, price))
    return cheapest


def _proposal(case: Case, gpu: GpuType, best: GpuType, usd_h: float, evidence: tuple[Evidence, ...]) -> Proposal:
    gpu_h = case.gpus_now * HOURS_PER_MONTH
    saving = case.saving(gpu_h, usd_h, low=0.5)
    # The energy saving is left out: the power draw of this work on the other GPU type is not known.
    return Proposal(
        finding=Finding.GPU_TYPE_OVERPROVISIONED,
        reasons=(Reason.FITS_CHEAPER_TYPE,),
        change=ChangeGpuType(gpu.name, best.name),
        saving=type(saving)(saving.usd_month, saving.low_usd_month, saving.high_usd_month, 0.0),
        # Risk 3: kernels, precisions and libraries differ between GPU generations; try one replica first.
        risk=3,
        coverage=min(case.profile.coverage[signal] for signal in _SIGNALS),
        evidence=evidence,
    )
