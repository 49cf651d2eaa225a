"""Move interruptible work from full-price machines to spot."""

import math

from gpuwise.model.changes import MoveToSpot
from gpuwise.model.findings import Finding
from gpuwise.model.inventory import CapacityType, Pod, WorkloadClass
from gpuwise.model.labels import CHECKPOINTED
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked, Evidence, Recommendation, Saving
from gpuwise.model.signal import Signal
from gpuwise.recommend.case import HOURS_PER_MONTH, Case, recommendation
from gpuwise.recommend.engines.interruptible_on_demand.checkpoint import daly_interval_s
from gpuwise.recommend.proposal import Proposal
from gpuwise.recommend.settings import HOUR_S

STAGE = "spot"

# At the low end spot costs a fifth more work than it does now: reclaims come in bursts.
_LOST_AT_WORST = 0.2
# A reclaim is announced 120 s before on AWS, 30 s before on Google Cloud and Azure; the least of them.
_NOTICE_S = 30.0


def spot_move(case: Case) -> Recommendation | Blocked:
    """Prefer spot nodes for work that a reclaim does not hurt, with fallback to on-demand, or say why not."""
    workload = case.workload
    if not workload.pods:
        return case.blocked(STAGE, Reason.ALREADY_STOPPED, "it holds no GPU now")
    if CapacityType.SPOT in case.capacity_types:
        return case.blocked(STAGE, Reason.ALREADY_SPOT, "some of its nodes are spot nodes")
    if not case.capacity_types <= {CapacityType.ON_DEMAND, None}:
        return case.blocked(STAGE, Reason.PAID_IN_ADVANCE, "some of its nodes are reserved or committed")
    reason = _interruptible(case)
    if reason is None:
        detail = f'neither annotated {CHECKPOINTED}: "true" nor an endpoint with two ready replicas'
        return case.blocked(STAGE, Reason.NOT_INTERRUPTIBLE, detail)
    gpu, now, then = case.gpu_type, case.usd_per_gpu_h(), case.usd_per_gpu_h(CapacityType.SPOT)
    if gpu is None or now is None or then is None or then >= now:
        return case.blocked(STAGE, Reason.NO_PRICE, "no spot price below the present one is known for its GPUs")
    if not any(offer.gpu == gpu and offer.capacity_type is CapacityType.SPOT for offer in case.fleet.offers):
        return case.blocked(STAGE, Reason.NO_SPOT_CAPACITY, f"the fleet has no spot node with {gpu.name}")
    activity = max(case.profile.coverage.get(Signal.SM_ACTIVITY, 0.0), case.profile.coverage.get(Signal.GPU_UTIL, 0.0))
    if activity < case.settings.min_coverage:
        return case.blocked(STAGE, Reason.INSUFFICIENT_DATA, f"only {activity:.0%} of its activity was sampled")
    return recommendation(case, _proposal(case, reason, now, then, activity))


def _interruptible(case: Case) -> Reason | None:
    """Checkpointed, or replicas enough that one may go (I22); an annotation that is not "true" is none."""
    if case.workload.annotations.get(CHECKPOINTED) == "true":
        return Reason.CHECKPOINTED
    endpoint = case.workload.workload_class is WorkloadClass.ENDPOINT
    return Reason.MULTI_REPLICA if endpoint and sum(_ready(pod) for pod in case.workload.pods) >= 2 else None


def _ready(pod: Pod) -> bool:
    return pod.ready and pod.phase == "Running"


def _proposal(case: Case, reason: Reason, now: float, then: float, coverage: float) -> Proposal:
    gpu_h = case.gpus_now * HOURS_PER_MONTH
    lost, evidence = _lost(case, reason)
    prices = (
        Evidence("price per GPU-hour now", None, "list price", now, None, "USD/h"),
        Evidence("spot price per GPU-hour", None, "list price", then, None, "USD/h"),
    )
    return Proposal(
        finding=Finding.INTERRUPTIBLE_ON_DEMAND,
        reasons=(reason,),
        change=MoveToSpot(),
        saving=Saving(
            usd_month=max(0.0, gpu_h * (now - then * (1 + lost))),
            low_usd_month=max(0.0, gpu_h * (now - then * (1 + lost + _LOST_AT_WORST))),
            high_usd_month=gpu_h * (now - then),
            gpu_h_month=0.0,
        ),
        risk=1 if reason is Reason.CHECKPOINTED else 2,
        coverage=min(1.0, coverage),
        evidence=(*prices, *evidence),
    )


def _lost(case: Case, reason: Reason) -> tuple[float, tuple[Evidence, ...]]:
    """Share of the work that reclaims are expected to cost, and the numbers it is made of."""
    settings = case.settings
    notice = Evidence("notice before a reclaim, at least", None, "fact", _NOTICE_S, None, "s")
    reclaims = settings.spot_reclaims_month
    assumed = Evidence("spot machines taken back in a month", None, "assumed", reclaims, None, "ratio")
    if reason is not Reason.CHECKPOINTED:
        # The other replicas answer meanwhile; what is lost is the time that a new one takes to start.
        lost = -math.log1p(-reclaims) / (HOURS_PER_MONTH * HOUR_S) * settings.restart_s
        return lost, (assumed, notice, Evidence("time lost to starts", None, "expected", lost, None, "ratio"))
    gang = len({pod.node for pod in case.workload.pods if pod.node is not None}) or 1
    life_s = HOURS_PER_MONTH * HOUR_S / -math.log1p(-reclaims) / gang
    interval_s = daly_interval_s(settings.checkpoint_save_s, life_s)
    lost = settings.checkpoint_save_s / interval_s + (interval_s / 2 + settings.restart_s) / life_s
    return lost, (
        assumed,
        notice,
        Evidence("machines it runs on, each of which stops it", None, "count", float(gang), None, "machines"),
        Evidence("save a checkpoint every (Daly 2006)", None, "optimum", interval_s, None, "s"),
        Evidence("work lost to saving, repeating and restarts", None, "expected", lost, None, "ratio"),
    )
