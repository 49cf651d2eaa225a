"""Scale an endpoint to zero in its idle gaps and up at the next request, if the gaps cost more than the cold starts."""

from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.changes import StopWhenIdle
from gpuwise.model.findings import Finding
from gpuwise.model.gaps import RequestGaps
from gpuwise.model.inventory import WorkloadClass
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked, Evidence, Recommendation
from gpuwise.model.signal import Signal
from gpuwise.model.usage import DAY_S
from gpuwise.recommend.case import HOURS_PER_MONTH, Case, recommendation
from gpuwise.recommend.engines.idle_between_uses.weekly import past_weeks, replayed, spent, weekly_wait, worst_ratio
from gpuwise.recommend.proposal import Proposal
from gpuwise.recommend.settings import HOUR_S

STAGE = "when-idle"
Floats = NDArray[np.float64]


def stop_when_idle(case: Case) -> Recommendation | Blocked:
    """Recommend stopping an endpoint some time after its last request, based on its past use, or return why not."""
    gaps = case.profile.gaps
    refusal = _refusal(case)
    if refusal is not None or gaps is None:
        return refusal or case.blocked(STAGE, Reason.INSUFFICIENT_DATA, "its requests are not reported")
    cost = _cold_start(case)
    found = _idle_time(case, cost.cost_s)
    evidence: tuple[Evidence, ...] = (
        Evidence("idle gaps of 15 minutes and more", None, "count", float(found.gaps), None, "gaps"),
        Evidence("time in idle gaps, of the observed time", None, "share", found.share, None, "ratio"),
        cost.evidence,
        Evidence("time that stopping would save", None, "share", found.saved, case.settings.min_rest_share, "ratio"),
    )
    if found.saved < case.settings.min_rest_share:
        return case.blocked(STAGE, Reason.STEADILY_USED, "its idle gaps are too short or too few", evidence)
    price = case.usd_per_gpu_h()
    if price is None:
        return case.blocked(
            STAGE, Reason.NO_PRICE, "it has long idle gaps, but no price is known for its GPUs", evidence
        )
    share = found.saved
    if not case.workload.activator:
        share = _saved_once_a_day(case, found)
        evidence += (Evidence("of it, with one stop a day", None, "share", share, None, "ratio"),)
    return recommendation(case, _proposal(case, gaps, cost.cost_s, price, share, evidence))


def _refusal(case: Case) -> Blocked | None:
    if case.workload.workload_class is not WorkloadClass.ENDPOINT:
        return case.blocked(STAGE, Reason.NOT_APPLICABLE, "only an endpoint can be started by its next request")
    if not case.workload.active_pods:
        return case.blocked(STAGE, Reason.ALREADY_STOPPED, "it has no GPU now")
    if case.profile.requests is None:  # if they are reported for part of the time, the other time counts as use
        return case.blocked(STAGE, Reason.INSUFFICIENT_DATA, "its requests are not reported")
    if not case.well_covered(Signal.SM_ACTIVITY) and not case.well_covered(Signal.GPU_UTIL):
        return case.blocked(
            STAGE, Reason.NEEDS_SECOND_SIGNAL, "its activity must be sampled in addition to its requests"
        )
    if case.profile.observed_s < max(1, case.settings.min_observed_h * HOUR_S):  # one sample lasts no time
        detail = f"{case.profile.observed_s / HOUR_S:.0f} h of data; {case.settings.min_observed_h} h are required"
        return case.blocked(STAGE, Reason.INSUFFICIENT_DATA, detail)
    return None


@dataclass(frozen=True, slots=True)
class _ColdStart:
    """What a cold start costs, in seconds of an idle GPU, and how that is known."""

    cost_s: float
    evidence: Evidence


def _cold_start(case: Case) -> _ColdStart:
    """The median of the starts that were seen and the cost of the users who wait; without a start, the setting."""
    took_s = [start.took_s for start in case.profile.starts]
    if not took_s:
        cost_s = case.settings.cold_start_cost_s
        text = "cost of a cold start, in seconds of an idle GPU; no start of its pods was seen, so it is the setting"
        return _ColdStart(cost_s, Evidence(text, None, "setting", cost_s, None, "s"))
    seen_s, waiting_s = float(median(took_s)), case.settings.waiting_user_cost_s
    text = (
        f"cost of a cold start, in seconds of an idle GPU: {seen_s:.0f} s until ready, the median of"
        f" {len(took_s)} start{'s' if len(took_s) > 1 else ''}, and {waiting_s:.0f} s for the users who wait"
    )
    return _ColdStart(seen_s + waiting_s, Evidence(text, None, "median", seen_s + waiting_s, None, "s"))


@dataclass(frozen=True, slots=True)
class _IdleTime:
    """The time in which neither a request nor a device shows use.

    Attributes:
        gaps: number of idle gaps.
        share: of the observed time.
        saved: what stopping in every gap would save, as a share of the observed time.
        saved_s: the seconds that stopping in each gap would save, shape (gaps,).
    """

    gaps: int
    share: float
    saved: float
    saved_s: Floats


def _idle_time(case: Case, cost_s: float) -> _IdleTime:
    """Idle gaps by all signals, and what a break-even wait, T = B, would save in them.

    What a gap saves is convex in its length: two gaps never save more than one gap of the same total length (I3).
    """
    intervals, observed_s = case.profile.idle.intervals, case.profile.observed_s
    gaps_s = (intervals.end_s - intervals.start_s).astype(np.float64)
    saved_s = np.maximum(0.0, gaps_s - 2 * cost_s)
    share, saved = float(np.add.reduce(gaps_s)) / observed_s, float(np.add.reduce(saved_s)) / observed_s
    return _IdleTime(gaps_s.size, share, saved, saved_s)


def _saved_once_a_day(case: Case, found: _IdleTime) -> float:
    """What one stop a day would save, as a share of the observed time."""
    saved_s = _one_a_day(case.profile.idle.intervals.start_s, found.saved_s)
    return float(np.add.reduce(saved_s)) / case.profile.observed_s


def _one_a_day(since_s: NDArray[np.int64], saved_s: Floats) -> Floats:
    """The most that one gap of each UTC day saves; the gaps are in order of time."""
    if not since_s.size:
        return saved_s
    days = since_s // DAY_S
    first_of_day = np.concatenate(([0], (days[1:] != days[:-1]).nonzero()[0] + 1))
    return np.asarray(np.maximum.reduceat(saved_s, first_of_day))


def _proposal(
    case: Case, gaps: RequestGaps, cost_s: float, price: float, share: float, evidence: tuple[Evidence, ...]
) -> Proposal:
    past = past_weeks(gaps, case.profile.window.start_s)
    wait_s = weekly_wait(past, cost_s)
    saved_s = np.maximum(0.0, past.lasted_s - wait_s) - cost_s * (past.lasted_s > wait_s)
    if not case.workload.activator:
        saved_s = _one_a_day(past.since_s, saved_s)
    replay = float(saved_s.sum()) / max(1, past.end_s - past.start_s)
    gpu_h = case.gpus_now * HOURS_PER_MONTH * share
    # Risk 2: the first request after a gap waits for a start. Low end: what the wait would have saved.
    saving = case.saving(gpu_h, price, low=min(1.0, max(0.0, replay / share)) if share else 0.0)
    coverage = case.coverage(Signal.SM_ACTIVITY, Signal.GPU_UTIL) or 0.0
    reasons: tuple[Reason, ...] = (Reason.REST_LONGER_THAN_START,)
    if not case.workload.activator:
        reasons += (Reason.NOTHING_STARTS_IT,)
    evidence += (
        Evidence("time that this wait would have saved, net of cold starts", None, "replay", replay, None, "ratio"),
        *_quality(past, wait_s, cost_s),
        _how(case, wait_s),
    )
    change = StopWhenIdle(wait_s)
    return Proposal(Finding.IDLE_BETWEEN_USES, reasons, change, saving, 2, coverage, evidence)


def _quality(past: RequestGaps, wait_s: int, cost_s: float) -> tuple[Evidence, ...]:
    """How good the wait was in the past weeks, and how bad it can be."""
    causal = replayed(past, cost_s)
    if causal is not None:
        ratio = causal.ratio
        text = "cost over the optimum, replayed: each past week with the wait chosen from all before it"
    else:
        ratio = spent(past, wait_s, cost_s).ratio
        text = "cost over the optimum in the past from which the wait was chosen (a week of data or less)"
    least_s = past.step_s
    worst = worst_ratio(wait_s, cost_s, least_s)
    gaps = "for any gaps" if wait_s >= least_s else f"for any gaps of {least_s} s and more"
    return (
        Evidence(text, Signal.REQUESTS, "replay", ratio, None, "times"),
        Evidence(f"cost over the optimum of this constant wait at most, {gaps}", None, "bound", worst, None, "times"),
        Evidence("gaps are known to", Signal.REQUESTS, "step", float(past.step_s), None, "s"),
    )


def _how(case: Case, wait_s: int) -> Evidence:
    """Where the wait is set, or that nothing starts the endpoint at its next request."""
    where = case.workload.activator
    if where:
        return Evidence(f"wait after the last request, to be set in {where}", None, "setting", float(wait_s), None, "s")
    text = (
        "nothing that starts it at its next request was found (KEDA, Knative, KServe on Knative): "
        "stop it once per cool-down at most, and start it for its users; most stops a day"
    )
    return Evidence(text, None, "count", 1.0, None, "stops")
