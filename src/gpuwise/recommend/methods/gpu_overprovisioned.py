"""Reduce a replica to the number of GPUs that it ever used at once, or to the MIG slice that it fits."""

from gpuwise.model.changes import Resize
from gpuwise.model.findings import Finding
from gpuwise.model.gpu import GpuType, MigProfile
from gpuwise.model.inventory import GpuRequest
from gpuwise.model.labels import GPU_RESOURCE
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked, Evidence, Recommendation
from gpuwise.model.signal import Signal
from gpuwise.recommend.case import HOURS_PER_MONTH, Case, recommendation
from gpuwise.recommend.engines.gpu_overprovisioned import slices
from gpuwise.recommend.estimators import needed_activity, needed_memory, needs
from gpuwise.recommend.proposal import Proposal
from gpuwise.recommend.settings import HOUR_S

STAGE = "right-size"
_ACTIVITY = needed_activity(Signal.SM_ACTIVITY)

CARRIED = 0.90
"""Share of the workloads whose demand a slice chosen by SM activity carries, where the activity is as low as it can be
for their rate; where it is as high as it can be, all. 3,807 workloads of 11 models on ParvaGPU's A100; a test compares
the share with the backtest."""

_BY_ACTIVITY = (
    "the slice is chosen by SM activity: no throughput is measured. Of 3,807 inference workloads (ParvaGPU, 11 models) "
    "at least this share kept its rate on a slice chosen so: compare the latency before and after"
)


def right_size(case: Case) -> Recommendation | Blocked:
    """Recommend fewer GPUs per replica, or a MIG slice instead of a whole GPU, or return why not."""
    request = case.workload.request
    observed_h = case.profile.observed_s / HOUR_S
    if request is None or not case.workload.active_pods:
        return case.blocked(STAGE, Reason.ALREADY_STOPPED, "it has no GPU now")
    if request.resource != GPU_RESOURCE:
        return case.blocked(STAGE, Reason.WELL_SIZED, f"it already uses {request.resource}")
    if case.workload.shares_card:
        return case.blocked(
            STAGE, Reason.CARD_SHARED, "HAMi shares its GPU: its size is set by nvidia.com/gpumem and gpucores"
        )
    if case.workload.asking > 1:
        # Usage is known per pod: removing a container's GPU could remove the one that works (HAMi#1225).
        detail = f"{case.workload.asking} containers of a pod request {request.count} GPUs in total: size each of them"
        return case.blocked(STAGE, Reason.SEVERAL_CONTAINERS_ASK, detail)
    if observed_h < case.settings.min_observed_h:
        detail = f"{observed_h:.0f} h of data; {case.settings.min_observed_h} h are required"
        return case.blocked(STAGE, Reason.INSUFFICIENT_DATA, detail)
    return _fewer(case, request) if request.count > 1 else _slice(case, request)


def _fewer(case: Case, request: GpuRequest) -> Recommendation | Blocked:
    busy, coverage = case.profile.busy_devices, case.coverage(Signal.SM_ACTIVITY, Signal.GPU_UTIL)
    if busy is None or coverage is None or coverage < case.settings.min_coverage:
        return case.blocked(STAGE, Reason.INSUFFICIENT_DATA, "too few activity samples to know how many GPUs it uses")
    if busy == 0:
        return case.blocked(STAGE, Reason.NO_ACTIVITY, "it was never used: stop it instead of resizing it")
    proposed = _power_of_two(busy)
    evidence = Evidence(
        f"at most {busy} of its {request.count} GPUs were in use in the same step",
        None,
        "max",
        busy,
        request.count,
        "GPUs",
    )
    if proposed >= request.count:
        return case.blocked(STAGE, Reason.WELL_SIZED, evidence.text, (evidence,))
    change = Resize(request, GpuRequest(GPU_RESOURCE, proposed))
    # Risk 2: processes that ran in parallel may now have to share a GPU.
    return _sized(
        case, change, Reason.DEVICES_NEVER_BUSY_TOGETHER, 2, coverage, (evidence,), 1 - proposed / request.count
    )


def _power_of_two(count: int) -> int:
    """Round up to a power of two, the size of collectives and NVLink domains; this also gives headroom."""
    return 1 << (count - 1).bit_length()


def _slice(case: Case, request: GpuRequest) -> Recommendation | Blocked:
    gpu = case.gpu_type
    if gpu is None:
        return case.blocked(STAGE, Reason.UNKNOWN_GPU_TYPE, "its GPU type is unknown or mixed")
    if not gpu.mig_profiles:
        return case.blocked(STAGE, Reason.WELL_SIZED, f"it has one {gpu.name}, which does not support MIG")
    activity, memory = _ACTIVITY(case), needed_memory(case)
    if activity is None or memory is None:
        detail = "a slice is chosen by SM activity and memory; GPU utilisation only shows that some kernel ran"
        return case.blocked(STAGE, Reason.INSUFFICIENT_DATA, detail)
    return _fitted(case, request, gpu, (activity, memory))


def _fitted(case: Case, request: GpuRequest, gpu: GpuType, need: tuple[float, float]) -> Recommendation | Blocked:
    activity, memory = need
    evidence = needs(case, Signal.SM_ACTIVITY)
    fitting = slices.fitting_slices(gpu, activity, memory)
    if activity == 0.0:
        return case.blocked(STAGE, Reason.NO_ACTIVITY, "it was never used: stop it instead of resizing it", evidence)
    if not fitting:
        return case.blocked(
            STAGE, Reason.WELL_SIZED, f"its activity and memory do not fit any slice of a {gpu.name}", evidence
        )
    offered = next((profile for profile in fitting if _offered(case, gpu, profile)), None)
    if offered is None:
        detail = f"{fitting[0].name} would suffice, but no {gpu.name} node offers it or a larger slice"
        return case.blocked(STAGE, Reason.NO_MIG_CAPACITY, detail, evidence)
    change = Resize(request, GpuRequest(offered.resource, 1))
    evidence += (Evidence(_BY_ACTIVITY, None, "backtest", CARRIED, None, "ratio"),)
    share = 1 - slices.share_of(gpu, offered)
    # Risk 1: the slice has its own compute and memory, with headroom over the measured peak; bursts run slower.
    coverage = min(case.profile.coverage[Signal.SM_ACTIVITY], case.profile.coverage[Signal.MEMORY_USED])
    return _sized(case, change, Reason.FITS_MIG_SLICE, 1, coverage, evidence, share)


def _offered(case: Case, gpu: GpuType, profile: MigProfile) -> bool:
    return any(offer.gpu == gpu and offer.resource == profile.resource for offer in case.fleet.offers)


def _sized(
    case: Case,
    change: Resize,
    reason: Reason,
    risk: int,
    coverage: float,
    evidence: tuple[Evidence, ...],
    saved_share: float,
) -> Recommendation | Blocked:
    price = case.usd_per_gpu_h()
    if price is None:
        return case.blocked(STAGE, Reason.NO_PRICE, "it is too large, but no price is known for its GPUs", evidence)
    gpu_h = case.gpus_now * saved_share * HOURS_PER_MONTH
    # Low end: freed slices and GPUs save money only once others use them or the fleet shrinks; half is assumed.
    saving = case.saving(gpu_h, price, low=0.5)
    proposal = Proposal(Finding.GPU_OVERPROVISIONED, (reason,), change, saving, risk, coverage, evidence)
    return recommendation(case, proposal)
