"""Say on which capacity a job with a deadline runs until the next pass of the loop: on spot only, or on on-demand."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from gpuwise.model.changes import MoveToOnDemand, MoveToSpot
from gpuwise.model.findings import Finding
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked, Evidence, Recommendation, Saving
from gpuwise.recommend.case import HOURS_PER_MONTH, Case, recommendation
from gpuwise.recommend.declared_job import unmeasured
from gpuwise.recommend.engines.interruptible_on_demand import next_step as engine
from gpuwise.recommend.engines.interruptible_on_demand.history import prior_model
from gpuwise.recommend.engines.interruptible_on_demand.job import Use
from gpuwise.recommend.fleet import only_spot
from gpuwise.recommend.job_outlook import Outlook, only_type, outlook_of, price_of, use_now
from gpuwise.recommend.proposal import Proposal
from gpuwise.recommend.settings import HOUR_S
from gpuwise.recommend.spot_places import compared, named_zone, outside, price_text

STAGE = "spot-deadline"


def spot_until_next_pass(case: Case) -> Recommendation | Blocked:
    """Recommend the capacity on which a job meets its deadline at the lowest expected cost, or return why not.

    Each pass decides until the next one, from the work left, the prices and what the fleet's spot nodes show. A job
    leaves spot while on-demand alone can still meet its deadline (see the engine `next_step`).
    """
    found = outlook_of(case)
    if not isinstance(found, Outlook):
        return _without_outlook(case, *found)
    evidence = _numbers(found)
    refused = _refused(case, found)
    if refused is not None:
        return _late(case, found, *refused, evidence)
    seen = np.array([found.available])
    choices = engine.next_step(found.terms, prior_model(), found.now, found.belief[None], seen)
    use, usd = Use(int(choices.use[0])), [float(one) for one in choices.usd[0]]
    evidence += _costs(usd)
    stays = _stays(case, found, use)
    if stays is not None:
        return case.blocked(STAGE, Reason.ON_CHOSEN_CAPACITY, f"{stays} until the next pass", evidence)
    gpu = case.gpu_type or only_type(case)
    where = None if use is Use.ON_DEMAND or gpu is None else outside(case, gpu)
    if where is not None:
        return case.blocked(STAGE, Reason.REGION_NOT_ALLOWED, where, evidence)
    proposal = _to_on_demand(found.use) if use is Use.ON_DEMAND else _to_spot(found, usd)
    return _recommended(case, replace(proposal, evidence=evidence, coverage=found.left.sampled))


def _refused(case: Case, found: Outlook) -> tuple[Reason, str] | None:
    """Why nothing is decided about a job whose numbers are known.

    If it began before the window, its work until then is missing, and the work left is too high. On on-demand it
    stays there. On spot it is decided about, because that can only lead to on-demand earlier than needed.
    """
    if not found.left.whole:
        needed_h = math.ceil((case.now_s - case.workload.created_s) / HOUR_S)
        detail = f"it began before the window, so earlier work is not counted: set observe.look_back_h to {needed_h}"
        return (Reason.INSUFFICIENT_DATA, detail) if found.use is Use.ON_DEMAND else None
    if found.need_s <= found.terms.left_s:
        return None
    detail = (
        f"its work left takes {found.need_s / HOUR_S:.1f} h on on-demand, and its deadline is in "
        f"{found.terms.left_s / HOUR_S:.1f} h: give it more time, or faster or more GPUs"
    )
    return Reason.DEADLINE_CANNOT_BE_MET, detail


def _late(
    case: Case, found: Outlook, reason: Reason, detail: str, evidence: tuple[Evidence, ...]
) -> Recommendation | Blocked:
    """A job on spot alone whose deadline cannot be met any more moves to on-demand: waiting makes it later."""
    if reason is not Reason.DEADLINE_CANNOT_BE_MET or not _alone(case, found.use):
        return case.blocked(STAGE, reason, detail, evidence)
    evidence += (Evidence(detail, None, "too late", None, None, "h"),)
    return _recommended(case, replace(_to_on_demand(found.use), evidence=evidence, coverage=found.left.sampled))


def _alone(case: Case, use: Use) -> bool:
    """Whether a job runs or waits on spot, without on-demand as the fallback."""
    return use is not Use.ON_DEMAND and all(map(only_spot, case.workload.active_pods))


def _without_outlook(case: Case, reason: Reason, detail: str) -> Recommendation | Blocked:
    """A job on spot alone moves to on-demand if its progress is no longer known, or the price or type of its GPUs."""
    if reason not in (Reason.INSUFFICIENT_DATA, Reason.NO_PRICE):
        return case.blocked(STAGE, reason, detail)
    use = use_now(case)
    if not (_alone(case, use) and unmeasured(case)):
        return case.blocked(STAGE, reason, detail)
    statistic, unit = ("no price", "USD/h") if reason is Reason.NO_PRICE else ("no pace", "units/h")
    evidence = Evidence(detail, None, statistic, None, None, unit)
    return _recommended(case, replace(_to_on_demand(use), evidence=(evidence,), coverage=0.0))


def _stays(case: Case, found: Outlook, use: Use) -> str | None:
    """Where it stays, if nothing has to change."""
    spot_alone = [only_spot(pod) for pod in case.workload.active_pods if pod.node is None]
    if found.use is Use.NONE and use is Use.ON_DEMAND:
        return None if any(spot_alone) else "it waits for any node that it accepts"
    if found.use is Use.NONE:
        return "it waits for spot" if all(spot_alone) else None
    if (use is Use.ON_DEMAND) != (found.use is Use.ON_DEMAND):
        return None
    return "it stays on on-demand" if use is Use.ON_DEMAND else "it stays on spot"


def _numbers(found: Outlook) -> tuple[Evidence, ...]:
    """The numbers behind the decision. A single scan assumes the interval of the loop."""
    left, terms = found.left, found.terms
    spare_h = (terms.span_s - found.need_s) / HOUR_S
    up = float(found.belief[prior_model().up].sum())
    left_text = "time to the deadline; the threshold is the work left and a restart on on-demand"
    return (
        Evidence("work left of the declared work", None, "difference", left.units, found.job.work, "units"),
        Evidence("slowest pace on its GPUs", None, "minimum", left.units_per_s * HOUR_S, None, "units/h"),
        Evidence(left_text, None, "fact", terms.left_s / HOUR_S, found.need_s / HOUR_S, "h"),
        Evidence("slack, without recommend.deadline_margin_s", None, "difference", spare_h, None, "h"),
        Evidence("time to the next pass, service.interval_s", None, "assumed", terms.interval_s / HOUR_S, None, "h"),
        Evidence("spot is available, by spot nodes and public traces", None, "belief", up, None, "ratio"),
        Evidence("price of the job on on-demand", None, "list price", terms.on_demand_usd_h, None, "USD/h"),
        Evidence(f"price of the job on spot in {found.spot}", None, "list price", terms.spot_usd_h, None, "USD/h"),
        *compared(found.places, price_of, price_text),
    )


def _costs(usd: Sequence[float]) -> tuple[Evidence, ...]:
    """The expected cost of each choice; without one where spot is not safe, because then nothing was compared."""
    spot, on_demand = min(usd[Use.NONE], usd[Use.SPOT]), usd[Use.ON_DEMAND]
    if not math.isfinite(spot):
        return (Evidence("on spot it could miss its deadline before the next pass", None, "not safe", None, None, ""),)
    return (
        Evidence("cost from now on, with spot only until the next pass", None, "expected", spot, None, "USD"),
        Evidence("cost from now on, with on-demand until the next pass", None, "expected", on_demand, None, "USD"),
    )


def _to_spot(found: Outlook, usd: Sequence[float]) -> Proposal:
    """A job's saving is made once; of a job that lasts longer than a month, it counts by month."""
    terms, left_h = found.terms, found.left.left_s / HOUR_S
    months = max(1.0, terms.left_s / HOUR_S / HOURS_PER_MONTH)
    on_demand_usd = terms.on_demand_usd_h * found.need_s / HOUR_S
    saved = max(0.0, on_demand_usd - min(usd[Use.NONE], usd[Use.SPOT])) / months
    most = max(saved, (on_demand_usd - terms.spot_usd_h * left_h) / months)
    return Proposal(
        finding=Finding.DEADLINE_CAPACITY_MISFIT,
        reasons=(Reason.SPOT_MEETS_DEADLINE, Reason.CHECKPOINTED),
        change=MoveToSpot(named_zone(found.spot, found.places, price_of), only=True),
        # At worst spot never comes, and on-demand does all of the work.
        saving=Saving(saved, 0.0, most, 0.0),
        risk=1,
        coverage=1.0,
        evidence=(),
    )


def _to_on_demand(use: Use) -> Proposal:
    return Proposal(
        finding=Finding.DEADLINE_CAPACITY_MISFIT,
        reasons=(Reason.DEADLINE_NEEDS_ON_DEMAND,),
        change=MoveToOnDemand(),
        saving=Saving(0.0, 0.0, 0.0, 0.0),
        risk=1,
        coverage=1.0,
        evidence=(),
        restart_needed=use is not Use.NONE,
    )


def _recommended(case: Case, proposal: Proposal) -> Recommendation:
    """It is valid until the next pass is late. A move to on-demand excludes nothing: the deadline comes first."""
    to_spot = isinstance(proposal.change, MoveToSpot)
    confidence, claims = (proposal.coverage, None) if to_spot else (1.0, ())
    made = recommendation(case, proposal, confidence=confidence, claims=claims)
    return replace(made, expires_s=case.now_s + case.fleet.pass_interval_s + case.settings.deadline_margin_s)
