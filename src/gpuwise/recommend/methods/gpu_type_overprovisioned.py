"""Run on a cheaper type of card that has the compute, the bandwidth and the memory that are really used."""

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
_TELLING = (Signal.SM_ACTIVITY, Signal.TENSOR_ACTIVITY, Signal.DRAM_ACTIVITY, Signal.MEMORY_USED)


@dataclass(frozen=True, slots=True)
class Need:
    """What is used of a card, with headroom.

    Attributes:
        tflops: dense FP16 tensor TFLOPS.
        memory_gb_s: memory bandwidth, GB/s.
        memory_bytes: framebuffer.
    """

    tflops: float
    memory_gb_s: float
    memory_bytes: float

    def fits(self, card: GpuType) -> bool:
        """Whether a card has all of it."""
        enough = card.tflops >= self.tflops and card.memory_gb_s >= self.memory_gb_s
        return enough and card.memory_bytes >= self.memory_bytes


def cheaper_type(case: Case) -> Recommendation | Blocked:
    """Another type of card of the fleet that holds what is used for less, or why none."""
    request, gpu = case.workload.request, case.gpu_type
    if request is None or not case.workload.pods:
        return case.blocked(STAGE, Reason.ALREADY_STOPPED, "it holds no GPU now")
    if gpu is None or request.resource != GPU_RESOURCE:
        return case.blocked(STAGE, Reason.UNKNOWN_GPU_TYPE, "it holds no whole cards of one known type")
    if request.count > 1:
        # Links between cards (NVLink or PCIe) are part of what several cards do, and are not measured.
        return case.blocked(STAGE, Reason.NO_CHEAPER_TYPE, "a pod of several cards depends on the links between them")
    observed_h = case.profile.observed_s / HOUR_S
    needs = [need(case) for need in (_SM, _TENSOR, _DRAM, needed_memory)]
    sm, tensor, dram, memory = needs
    if observed_h < case.settings.min_observed_h or sm is None or tensor is None or dram is None or memory is None:
        names = ", ".join(signal.value for signal in _TELLING)
        return case.blocked(
            STAGE, Reason.INSUFFICIENT_DATA, f"a type is chosen by {names}, well sampled for three days"
        )
    # The busier of the pipes says how much of the card's arithmetic is used; SM activity counts warps that wait, too.
    return _chosen(case, gpu, Need(max(tensor, sm) * gpu.tflops, dram * gpu.memory_gb_s, memory))


def _chosen(case: Case, gpu: GpuType, need: Need) -> Recommendation | Blocked:
    limit = case.profile.bottleneck
    evidence: tuple[Evidence, ...] = (
        *needs(case, Signal.SM_ACTIVITY, Signal.TENSOR_ACTIVITY, Signal.DRAM_ACTIVITY),
        Evidence(f"arithmetic of that, of a {gpu.name}", None, "need", need.tflops, gpu.tflops, "TFLOPS"),
        Evidence("bandwidth of that", None, "need", need.memory_gb_s, gpu.memory_gb_s, "GB/s"),
        Evidence(f"limit: {limit.limit.value}", None, "confidence", limit.confidence, None, "ratio"),
    )
    now = case.usd_per_gpu_h()
    if now is None:
        return case.blocked(STAGE, Reason.NO_PRICE, "no price is known for its GPUs", evidence)
    fitting = [(price, other) for other, price in _offered(case).items() if price < now and need.fits(other)]
    if not fitting:
        return case.blocked(STAGE, Reason.NO_CHEAPER_TYPE, "no cheaper card of the fleet holds what it uses", evidence)
    price, best = min(fitting, key=lambda option: (option[0], option[1].name))
    evidence += (Evidence(f"price of {best.name} per GPU-hour", None, "list price", price, now, "USD/h"),)
    return recommendation(case, _proposal(case, gpu, best, now - price, evidence))


def _offered(case: Case) -> dict[GpuType, float]:
    """Whole cards that nodes of the allowed regions have, with their price by the way the workload pays now."""
    allowed: set[str | None] = set(case.settings.allowed_regions) or {node.region for node in case.nodes}
    kinds = case.capacity_types
    kind = kinds.pop() if len(kinds) == 1 else CapacityType.ON_DEMAND
    cards = {
        offer.gpu
        for offer in case.fleet.offers
        if offer.region in allowed and offer.resource == GPU_RESOURCE and offer.capacity_type == kind
    }
    priced = ((card, case.prices.price(card.name, kind)) for card in cards)
    return {card: price for card, price in priced if price is not None}


def _proposal(case: Case, gpu: GpuType, best: GpuType, usd_h: float, evidence: tuple[Evidence, ...]) -> Proposal:
    gpu_h = case.gpus_now * HOURS_PER_MONTH
    saving = case.saving(gpu_h, usd_h, low=0.5)
    # Energy: the same work at the other card's draw is not known, so no claim is made of it.
    return Proposal(
        finding=Finding.GPU_TYPE_OVERPROVISIONED,
        reasons=(Reason.FITS_CHEAPER_TYPE,),
        change=ChangeGpuType(gpu.name, best.name),
        saving=type(saving)(saving.usd_month, saving.low_usd_month, saving.high_usd_month, 0.0),
        # 3: kernels, precisions and libraries differ between generations; try one replica first.
        risk=3,
        coverage=min(case.profile.coverage[signal] for signal in _TELLING),
        evidence=evidence,
    )
