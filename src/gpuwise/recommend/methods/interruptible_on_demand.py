"""Move interruptible work from on-demand to spot nodes."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from gpuwise.model.changes import MoveToSpot
from gpuwise.model.declared import declared
from gpuwise.model.findings import Finding
from gpuwise.model.gpu import GpuType
from gpuwise.model.inventory import CapacityType, Pod, WorkloadClass
from gpuwise.model.labels import CHECKPOINTED, DEADLINE
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked, Evidence, Recommendation, Saving
from gpuwise.model.signal import Signal
from gpuwise.recommend.case import HOURS_PER_MONTH, Case, recommendation
from gpuwise.recommend.engines.interruptible_on_demand.checkpoint import daly_interval_s
from gpuwise.recommend.engines.interruptible_on_demand.reclaims import Reclaims
from gpuwise.recommend.proposal import Proposal
from gpuwise.recommend.settings import HOUR_S
from gpuwise.recommend.spot_places import (
    SpotPlace,
    cheapest,
    compared,
    may_use,
    named_zone,
    outside,
    price_text,
    reclaims_in,
    spot_places,
)

STAGE = "spot"

# For the low end of the saving, spot costs a fifth more work than expected, because reclaims come in bursts.
_LOST_AT_WORST = 0.2
# The notice before a reclaim is 120 s on AWS, 30 s on Google Cloud and Azure; this is the shortest.
_NOTICE_S = 30.0
_NO_CHEAPER = "no spot price below its present price is known for its GPUs"


def spot_move(case: Case) -> Recommendation | Blocked:
    """Recommend spot nodes, with on-demand as the fallback, for work that tolerates a reclaim, or return why not.

    It prefers the zone with the lowest expected cost. Work with a deadline is left to the method that keeps it.
    """
    excluded = _excluded(case)
    if excluded is not None:
        return case.blocked(STAGE, *excluded)
    reason = _interruptible(case)
    if reason is None:
        detail = f'it has no annotation {CHECKPOINTED}: "true" and is not an endpoint with two ready replicas'
        return case.blocked(STAGE, Reason.NOT_INTERRUPTIBLE, detail)
    gpu, now = case.gpu_type, case.usd_per_gpu_h()
    if gpu is None or now is None:
        return case.blocked(STAGE, Reason.NO_PRICE, "no price is known for its GPUs")
    places = spot_places(case, gpu)
    if not places:
        return _without_places(case, gpu)
    if (where := outside(case, gpu)) is not None:
        return case.blocked(STAGE, Reason.REGION_NOT_ALLOWED, where)
    offer = _Offer(case, reason, {place: reclaims_in(case, gpu, place) for place in places})
    if offer.best.usd_per_gpu_h >= now:
        return case.blocked(STAGE, Reason.NO_PRICE, _NO_CHEAPER)
    activity = max(case.profile.coverage.get(Signal.SM_ACTIVITY, 0.0), case.profile.coverage.get(Signal.GPU_UTIL, 0.0))
    if activity < case.settings.min_coverage:
        return case.blocked(STAGE, Reason.INSUFFICIENT_DATA, f"only {activity:.0%} of its activity was sampled")
    return recommendation(case, _proposal(offer, now, activity))


@dataclass(frozen=True)
class _Offer:
    """Where a workload could run on spot, and what reclaims cost it there.

    Attributes:
        case: the workload.
        reason: why it tolerates a reclaim.
        places: the places, each with its expected reclaims.
    """

    case: Case
    reason: Reason
    places: Mapping[SpotPlace, Reclaims]

    @cached_property
    def best(self) -> SpotPlace:
        """The place with the lowest expected cost."""
        return cheapest(self.case, tuple(self.places), self.cost)

    @property
    def zone(self) -> str | None:
        """The zone to prefer, if the places do not cost the same."""
        return named_zone(self.best, tuple(self.places), self.cost)

    def cost(self, place: SpotPlace) -> float:
        """Expected USD per GPU-hour of work in a place."""
        return place.usd_per_gpu_h * (1 + _lost(self.case, self.reason, self.places[place])[0])

    def text(self, place: SpotPlace) -> str:
        """What the cost follows from, for a person."""
        seen = self.places[place]
        share = f"{seen.share:.0%} of nodes reclaimed in a month ({seen.gone} went in {seen.months:.1f} months)"
        return f"{price_text(place)}, {share}"


def _excluded(case: Case) -> tuple[Reason, str] | None:
    """Why a move is out of the question, None if it is not."""
    ends = case.workload.workload_class is not WorkloadClass.ENDPOINT
    if ends and declared(case.workload, DEADLINE) is not None:
        return Reason.NOT_APPLICABLE, "it has a deadline, so spot-deadline decides"
    if not case.workload.active_pods:
        return Reason.ALREADY_STOPPED, "it has no GPU now"
    if CapacityType.SPOT in case.capacity_types:
        return Reason.ALREADY_SPOT, "some of its nodes are spot nodes"
    if not case.capacity_types <= {CapacityType.ON_DEMAND, None}:
        return Reason.PAID_IN_ADVANCE, "some of its nodes are reserved or committed"
    return None


def _without_places(case: Case, gpu: GpuType) -> Blocked:
    """Why there is no place on spot: no price, no spot node, or none on which it may run."""
    nodes = [node for node in case.fleet.spot_nodes.get(gpu.name, ()) if node.gone_s is None]
    if any(may_use(case, node) for node in nodes) or not (nodes or case.usd_per_gpu_h(CapacityType.SPOT)):
        return case.blocked(STAGE, Reason.NO_PRICE, _NO_CHEAPER)
    detail = f"the fleet has no spot node with {gpu.name}"
    if nodes:
        detail += " in a region that its data class allows, and that its volumes and its node affinity admit"
    return case.blocked(STAGE, Reason.NO_SPOT_CAPACITY, detail)


def _interruptible(case: Case) -> Reason | None:
    """Why it tolerates a reclaim: checkpoints or enough replicas (I22). Only the annotation value "true" counts."""
    if case.workload.annotations.get(CHECKPOINTED) == "true":
        return Reason.CHECKPOINTED
    endpoint = case.workload.workload_class is WorkloadClass.ENDPOINT
    return Reason.MULTI_REPLICA if endpoint and sum(_ready(pod) for pod in case.workload.pods) >= 2 else None


def _ready(pod: Pod) -> bool:
    return pod.ready and pod.phase == "Running"


def _proposal(offer: _Offer, now: float, coverage: float) -> Proposal:
    gpu_h, then = offer.case.gpus_now * HOURS_PER_MONTH, offer.best.usd_per_gpu_h
    lost, evidence = _lost(offer.case, offer.reason, offer.places[offer.best])
    prices = (
        Evidence("price per GPU-hour now", None, "list price", now, None, "USD/h"),
        Evidence("spot price per GPU-hour", None, "list price", then, None, "USD/h"),
    )
    return Proposal(
        finding=Finding.INTERRUPTIBLE_ON_DEMAND,
        reasons=(offer.reason,),
        change=MoveToSpot(offer.zone),
        saving=Saving(
            usd_month=max(0.0, gpu_h * (now - then * (1 + lost))),
            low_usd_month=max(0.0, gpu_h * (now - then * (1 + lost + _LOST_AT_WORST))),
            high_usd_month=gpu_h * (now - then),
            gpu_h_month=0.0,
        ),
        risk=1 if offer.reason is Reason.CHECKPOINTED else 2,
        coverage=min(1.0, coverage),
        evidence=(*prices, *compared(tuple(offer.places), offer.cost, offer.text), *evidence),
    )


def _lost(case: Case, reason: Reason, learnt: Reclaims) -> tuple[float, tuple[Evidence, ...]]:
    """Share of the work that reclaims are expected to cost, and the numbers behind it."""
    settings = case.settings
    notice = Evidence("shortest notice before a reclaim", None, "fact", _NOTICE_S, None, "s")
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
