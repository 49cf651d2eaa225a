"""Move interruptible work from on-demand to spot nodes."""

import math

from gpuwise.model.changes import MoveToSpot
from gpuwise.model.findings import Finding
from gpuwise.model.inventory import CapacityType, Pod, WorkloadClass
from gpuwise.model.labels import CHECKPOINTED
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked, Evidence, Recommendation, Saving
from gpuwise.model.signal import Signal
from gpuwise.recommend.case import HOURS_PER_MONTH, Case, recommendation
from gpuwise.recommend.engines.interruptible_on_demand import reclaims as reclaims_engine
from gpuwise.recommend.engines.interruptible_on_demand.checkpoint import daly_interval_s
from gpuwise.recommend.proposal import Proposal
from gpuwise.recommend.settings import HOUR_S

STAGE = "spot"

# For the low end of the saving, spot costs a fifth more work than expected, because reclaims come in bursts.
_LOST_AT_WORST = 0.2
# The notice before a reclaim is 120 s on AWS, 30 s on Google Cloud and Azure; this is the shortest.
_NOTICE_S = 30.0


def spot_move(case: Case) -> Recommendation | Blocked:
    """Recommend spot nodes, with on-demand as the fallback, for work that tolerates a reclaim, or return why not."""
    workload = case.workload
    if not workload.active_pods:
        return case.blocked(STAGE, Reason.ALREADY_STOPPED, "it has no GPU now")
    if CapacityType.SPOT in case.capacity_types:
        return case.blocked(STAGE, Reason.ALREADY_SPOT, "some of its nodes are spot nodes")
    if not case.capacity_types <= {CapacityType.ON_DEMAND, None}:
        return case.blocked(STAGE, Reason.PAID_IN_ADVANCE, "some of its nodes are reserved or committed")
    reason = _interruptible(case)
    if reason is None:
        detail = f'it has no annotation {CHECKPOINTED}: "true" and is not an endpoint with two ready replicas'
        return case.blocked(STAGE, Reason.NOT_INTERRUPTIBLE, detail)
    gpu, now, then = case.gpu_type, case.usd_per_gpu_h(), case.usd_per_gpu_h(CapacityType.SPOT)
    if gpu is None or now is None or then is None or then >= now:
        return case.blocked(STAGE, Reason.NO_PRICE, "no spot price below its present price is known for its GPUs")
    spot = [one for one in case.fleet.offers if one.gpu == gpu and one.capacity_type is CapacityType.SPOT]
    if not any(case.may_run_in(one.region) for one in spot):
        where = " in a region that its data class allows" if spot else ""
        return case.blocked(STAGE, Reason.NO_SPOT_CAPACITY, f"the fleet has no spot node with {gpu.name}{where}")
    activity = max(case.profile.coverage.get(Signal.SM_ACTIVITY, 0.0), case.profile.coverage.get(Signal.GPU_UTIL, 0.0))
    if activity < case.settings.min_coverage:
        return case.blocked(STAGE, Reason.INSUFFICIENT_DATA, f"only {activity:.0%} of its activity was sampled")
    return recommendation(case, _proposal(case, reason, now, then, activity))


def _interruptible(case: Case) -> Reason | None:
    """Why it tolerates a reclaim: checkpoints or enough replicas (I22). Only the annotation value "true" counts."""
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


def _reclaims(case: Case) -> reclaims_engine.Reclaims:
    """How often spot nodes with its GPU type are reclaimed, by those of the fleet."""
    same = (node for node in (*case.inventory.nodes.values(), *case.fleet.past) if node.gpu_type == case.gpu_type)
    return reclaims_engine.expected_reclaims(same, assumed=case.settings.spot_reclaims_month, now_s=case.now_s)


def _lost(case: Case, reason: Reason) -> tuple[float, tuple[Evidence, ...]]:
    """Share of the work that reclaims are expected to cost, and the numbers behind it."""
    settings = case.settings
    notice = Evidence("shortest notice before a reclaim", None, "fact", _NOTICE_S, None, "s")
    learnt = _reclaims(case)
    reclaims = learnt.share
    seen = f"{learnt.gone} went in {learnt.months:.1f} months of all" if learnt.months else "none was seen yet"
    text = f"share of spot nodes with its GPU type reclaimed in a month; {seen}"
    assumed = Evidence(text, None, "expected share", reclaims, settings.spot_reclaims_month, "ratio")
    if reason is not Reason.CHECKPOINTED:
        # The other replicas answer meanwhile; the loss is the time that a new replica takes to start.
        lost = -math.log1p(-reclaims) / (HOURS_PER_MONTH * HOUR_S) * settings.restart_s
        return lost, (assumed, notice, Evidence("time lost to starts", None, "expected", lost, None, "ratio"))
    gang = len({pod.node for pod in case.workload.active_pods if pod.node is not None}) or 1
    life_s = HOURS_PER_MONTH * HOUR_S / -math.log1p(-reclaims) / gang
    interval_s = daly_interval_s(settings.checkpoint_save_s, life_s)
    lost = settings.checkpoint_save_s / interval_s + (interval_s / 2 + settings.restart_s) / life_s
    return lost, (
        assumed,
        notice,
        Evidence("nodes it runs on; a reclaim of any one stops it", None, "count", float(gang), None, "nodes"),
        Evidence("optimal interval between checkpoints (Daly 2006)", None, "optimum", interval_s, None, "s"),
        Evidence("work lost to saving, repeating and restarts", None, "expected", lost, None, "ratio"),
    )
