"""Scale an endpoint to zero in its idle gaps and up at the next request, if the gaps cost more than the cold starts."""

import math

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.changes import StopWhenIdle
from gpuwise.model.findings import Finding
from gpuwise.model.inventory import WorkloadClass
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked, Evidence, Recommendation
from gpuwise.model.signal import Signal
from gpuwise.recommend.case import HOURS_PER_MONTH, Case, recommendation
from gpuwise.recommend.engines.idle_between_uses import KeepAliveSettings, Requests, idle_gaps, waits
from gpuwise.recommend.engines.idle_between_uses.guard import WORST_RATIO, gap_cost
from gpuwise.recommend.proposal import Proposal
from gpuwise.recommend.settings import HOUR_S

STAGE = "when-idle"
# A profile does not contain shorter idle gaps (`score.min_idle_s`), so with a shorter wait the endpoint could stop in
# one of those. The guard allows this minimum: its interval always contains 1.5 times the cost of a cold start (900 s).
_LEAST_WAIT_S = 900.0
Floats = NDArray[np.float64]


def stop_when_idle(case: Case) -> Recommendation | Blocked:
    """Recommend stopping an endpoint some time after its last request, based on its past use, or return why not."""
    refusal = _refusal(case)
    if refusal is not None:
        return refusal
    gaps_s = np.array([interval.end_s - interval.start_s for interval in case.profile.idle.intervals], dtype=float)
    cost_s = case.settings.cold_start_cost_s
    # Convex in each gap: two gaps never save more than one gap of the same total length (I3). Break-even wait, T = B.
    saved_s = float(np.maximum(0.0, gaps_s - 2 * cost_s).sum())
    share = saved_s / case.profile.observed_s
    evidence = (
        Evidence("idle gaps of 15 minutes and more", None, "count", float(len(gaps_s)), None, "gaps"),
        Evidence("time in idle gaps, of the observed time", None, "share", _share(case, gaps_s), None, "ratio"),
        Evidence("cost of a cold start, in seconds of an idle GPU", None, "setting", cost_s, None, "s"),
        Evidence("time that stopping would save", None, "share", share, case.settings.min_rest_share, "ratio"),
    )
    if share < case.settings.min_rest_share:
        return case.blocked(STAGE, Reason.STEADILY_USED, "its idle gaps are too short or too few", evidence)
    price = case.usd_per_gpu_h()
    if price is None:
        return case.blocked(
            STAGE, Reason.NO_PRICE, "it has long idle gaps, but no price is known for its GPUs", evidence
        )
    return recommendation(case, _proposal(case, price, share, evidence))


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
    if case.profile.observed_s < case.settings.min_observed_h * HOUR_S:
        detail = f"{case.profile.observed_s / HOUR_S:.0f} h of data; {case.settings.min_observed_h} h are required"
        return case.blocked(STAGE, Reason.INSUFFICIENT_DATA, detail)
    return None


def _share(case: Case, gaps_s: Floats) -> float:
    return float(gaps_s.sum()) / case.profile.observed_s


def _proposal(case: Case, price: float, share: float, evidence: tuple[Evidence, ...]) -> Proposal:
    requests = _requests(case)
    cost_s = case.settings.cold_start_cost_s
    chosen_s = waits({"it": requests}, KeepAliveSettings(cost_s))["it"]
    waited_s = np.maximum(chosen_s, min(_LEAST_WAIT_S, (WORST_RATIO - 1) * cost_s))
    replayed = _saved_s(requests, waited_s, cost_s, case.profile.window.end_s) / case.profile.observed_s
    bound = f"replayed over its own gaps; cost never above {WORST_RATIO:g} x the optimum"
    evidence += (Evidence(f"time saved net of cold starts, {bound}", None, "share", replayed, None, "ratio"),)
    gpu_h = case.gpus_now * HOURS_PER_MONTH * share
    # Risk 2: the first request after a gap waits for a start. Low end: what the policy would have saved.
    saving = case.saving(gpu_h, price, low=min(1.0, max(0.0, replayed / share)))
    change = StopWhenIdle(math.ceil(float(waited_s[-1])))
    coverage = case.coverage(Signal.SM_ACTIVITY, Signal.GPU_UTIL) or 0.0
    reasons = (Reason.REST_LONGER_THAN_START,)
    return Proposal(Finding.IDLE_BETWEEN_USES, reasons, change, saving, 2, coverage, evidence)


def _requests(case: Case) -> Requests:
    """Each span between two idle gaps as one long request, because a profile does not contain shorter gaps."""
    window = case.profile.window
    edges = [(window.start_s, window.start_s), *((i.start_s, i.end_s) for i in case.profile.idle.intervals)]
    starts = [float(end) for _, end in edges]
    ends = [*(float(start) for start, _ in edges[1:]), float(window.end_s)]
    if edges[-1][1] >= window.end_s and len(edges) > 1:  # it is idle now: the last gap is open, no request ended it
        starts, ends = starts[:-1], ends[:-1]
    return Requests(np.array(starts), np.array(ends))


def _saved_s(requests: Requests, waited_s: Floats, cost_s: float, end_s: int) -> float:
    """Idle seconds that the waits would have saved in the past gaps, less the cost of the cold starts."""
    gaps = idle_gaps(requests)
    lasted_s = np.minimum(gaps.gap_s, end_s - gaps.since_s)
    pairs = zip(lasted_s.tolist(), waited_s.tolist(), strict=True)
    return math.fsum(lasted - gap_cost(lasted, wait, cost_s) for lasted, wait in pairs)
