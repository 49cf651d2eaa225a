"""What is known at a pass about a job with a deadline: its progress, its prices, and the availability of spot."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gpuwise.model.gpu import GpuType
from gpuwise.model.inventory import CapacityType
from gpuwise.model.labels import CHECKPOINTED
from gpuwise.model.reasons import Reason
from gpuwise.recommend.case import Case
from gpuwise.recommend.declared_job import Declared, Remaining, declared, remaining
from gpuwise.recommend.engines.interruptible_on_demand.history import belief_of, observed, prior_model
from gpuwise.recommend.engines.interruptible_on_demand.job import Floats, Progress, Use
from gpuwise.recommend.engines.interruptible_on_demand.next_step import Terms
from gpuwise.recommend.fleet import only_spot
from gpuwise.recommend.settings import HOUR_S
from gpuwise.recommend.spot_places import SpotPlace, cheapest, may_use, spot_places

Refusal = tuple[Reason, str]


@dataclass(frozen=True, slots=True, eq=False)
class Outlook:
    """What is known about a job at a pass.

    Attributes:
        job: what it declares.
        left: its work left.
        terms: deadline and prices, of the whole job.
        now: its progress.
        places: where it could run on spot; empty if it is on spot and no place is known.
        spot: the cheapest of them.
        available: whether spot is available to it now.
        belief: the belief about the availability, shape (states,).
    """

    job: Declared
    left: Remaining
    terms: Terms
    now: Progress
    places: Sequence[SpotPlace]
    spot: SpotPlace
    available: bool
    belief: Floats

    @property
    def use(self) -> Use:
        """What it runs on now."""
        return Use(int(self.now.use[0]))

    @property
    def need_s(self) -> float:
        """Seconds that on-demand needs from now on: the work left, and a restart or the rest of one."""
        restart_s = float(self.now.pending_s[0]) if self.use is Use.ON_DEMAND else self.terms.restart_s
        return self.left.left_s + restart_s


def outlook_of(case: Case) -> Outlook | Refusal:
    """What is known about a job, or why nothing is decided about it.

    Args:
        case: the workload.
    """
    job = declared(case)
    if not isinstance(job, Declared):
        return job
    refused = _unsuited(case, job)
    if refused is not None:
        return refused
    left = remaining(case, job)
    if not isinstance(left, Remaining):
        return left
    gpu, use = case.gpu_type or only_type(case), use_now(case)
    on_demand = None if gpu is None else _on_demand_price(case, gpu)
    if gpu is None or on_demand is None:
        return Reason.NO_PRICE, "no on-demand price is known for its GPUs"
    places = spot_places(case, gpu, past=True)
    if not places and use is Use.ON_DEMAND:
        detail = f"there was no spot node with {gpu.name} on which it may run, or it has no price"
        return Reason.NO_SPOT_CAPACITY, detail
    # A job that is on spot is decided about in any case: without a price, spot costs as much as on-demand.
    spot = cheapest(case, places, price_of) if places else SpotPlace(None, None, on_demand)
    terms = Terms(
        left_s=job.deadline_s - case.now_s,
        margin_s=case.settings.deadline_margin_s,
        interval_s=case.fleet.pass_interval_s,
        restart_s=case.settings.restart_s,
        on_demand_usd_h=on_demand * left.gpus,
        spot_usd_h=spot.usd_per_gpu_h * left.gpus,
    )
    available, belief = _availability(case, gpu, use)
    return Outlook(job, left, terms, _progress(case, left, use), places, spot, available, belief)


def use_now(case: Case) -> Use:
    """What a job runs on: nothing while a pod waits; spot if any of its nodes is one, whose end stops it."""
    if any(pod.node is None for pod in case.workload.active_pods):
        return Use.NONE
    return Use.SPOT if CapacityType.SPOT in case.capacity_types else Use.ON_DEMAND


def price_of(place: SpotPlace) -> float:
    """Price of spot in a place; what a reclaim costs is part of the plan of the job."""
    return place.usd_per_gpu_h


def _unsuited(case: Case, job: Declared) -> Refusal | None:
    """Why nothing is decided about the job, whatever its progress."""
    if not case.workload.active_pods:
        return Reason.ALREADY_STOPPED, "it has no pod now: it has ended, or it is suspended"
    if job.deadline_s <= case.now_s:
        passed_h = (case.now_s - job.deadline_s) / HOUR_S
        return Reason.DEADLINE_CANNOT_BE_MET, f"its deadline passed {passed_h:.1f} h ago: give a later one or remove it"
    if CapacityType.RESERVED in case.capacity_types:
        return Reason.PAID_IN_ADVANCE, "some of its nodes are reserved or committed"
    if case.workload.annotations.get(CHECKPOINTED) != "true":
        return Reason.NOT_INTERRUPTIBLE, f'it has no annotation {CHECKPOINTED}: "true": a move would lose its work'
    return None


def only_type(case: Case) -> GpuType | None:
    """The GPU type of a job that has not had its GPUs yet: that of all nodes on which it may run, if it is one."""
    if case.profile.allocated_gpu_s > 0:
        return None
    types = {node.gpu_type for node in case.inventory.nodes.values() if may_use(case, node)}
    return types.pop() if len(types) == 1 else None


def _on_demand_price(case: Case, gpu: GpuType) -> float | None:
    """The highest on-demand price of the places in which it runs; while it waits, of all places with its GPU type."""
    nodes = case.nodes or [one for one in case.inventory.nodes.values() if one.gpu_type == gpu]
    places = {(node.region, node.zone) for node in nodes} or {(None, None)}
    found = [case.prices.price(gpu.name, CapacityType.ON_DEMAND, region=region, zone=zone) for region, zone in places]
    return max((usd for usd in found if usd is not None), default=None)


def _progress(case: Case, left: Remaining, use: Use) -> Progress:
    """Its progress; a pod that started less than a restart ago is taken to be still starting."""
    started = [pod.started_s for pod in case.workload.active_pods if pod.started_s is not None]
    since_s = case.now_s - max(started) if started else 0
    pending_s = 0.0 if use is Use.NONE else max(0.0, case.settings.restart_s - since_s)
    nowhere = np.zeros(1, dtype=np.int64)
    return Progress(np.array([left.left_s]), np.array([pending_s]), nowhere + int(use), nowhere)


def _availability(case: Case, gpu: GpuType, use: Use) -> tuple[bool, Floats]:
    """Whether spot is available to the job now, and the belief about it from the fleet's spot nodes.

    A job on spot has it. For another job spot is available while there is a spot node on which it may run and no pod
    waits for spot. Where nothing shows it, it counts as not available.
    """
    nodes = [node for node in case.fleet.spot_nodes.get(gpu.name, ()) if may_use(case, node)]
    own = use is Use.NONE and any(map(only_spot, case.workload.active_pods))
    waits = own or (use is not Use.SPOT and gpu.name in case.fleet.awaited_on_spot)
    step_s = case.fleet.pass_interval_s
    seen = observed(nodes, waits=waits, now_s=case.now_s, step_s=step_s)
    if use is Use.SPOT:
        seen[-1] = True
    return seen[-1] is True, belief_of(prior_model(), seen, step_s=step_s)
