"""Scale an endpoint to zero in its rests and back at the next request, where the rests cost more than the starts."""

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
# A profile tells no rests apart that are shorter (`score.min_idle_s`): a shorter wait could stop in one of them. The
# guard allows it: its interval always holds 1.5 times the cost of a cold start, which is as long.
_LEAST_WAIT_S = 900.0
Floats = NDArray[np.float64]


def stop_when_idle(case: Case) -> Recommendation | Blocked:
    """Stop an endpoint some time after its last request, chosen by how it was used before, or say why not."""
    refusal = _refusal(case)
    if refusal is not None:
        return refusal
    rests_s = np.array([interval.end_s - interval.start_s for interval in case.profile.idle.intervals], dtype=float)
    cost_s = case.settings.cold_start_cost_s
    # Convex in each rest: a rest that is cut in two by a request is never worth more (I3). Break-even, T = B.
    spared_s = float(np.maximum(0.0, rests_s - 2 * cost_s).sum())
    share = spared_s / case.profile.observed_s
    evidence = (
        Evidence("rests of a quarter of an hour and more", None, "count", float(len(rests_s)), None, "rests"),
        Evidence("time at rest, of the time it was seen", None, "share", _share(case, rests_s), None, "ratio"),
        Evidence("a cold start, in seconds of an idle GPU", None, "setting", cost_s, None, "s"),
        Evidence("time that stopping would spare", None, "share", share, case.settings.min_rest_share, "ratio"),
    )
    if share < case.settings.min_rest_share:
        return case.blocked(STAGE, Reason.STEADILY_USED, "its rests are too short or too few to stop for", evidence)
    price = case.usd_per_gpu_h()
    if price is None:
        return case.blocked(STAGE, Reason.NO_PRICE, "rests for long, but no price is known for its GPUs", evidence)
    return recommendation(case, _proposal(case, price, share, evidence))


def _refusal(case: Case) -> Blocked | None:
    if case.workload.workload_class is not WorkloadClass.ENDPOINT:
        return case.blocked(STAGE, Reason.NOT_APPLICABLE, "only what is asked can be started by the next request")
    if not case.workload.pods:
        return case.blocked(STAGE, Reason.ALREADY_STOPPED, "it holds no GPU now")
    if case.profile.requests is None:  # where they are reported for some of the time, the rest of it is no rest
        return case.blocked(STAGE, Reason.INSUFFICIENT_DATA, "its requests are not reported")
    if not case.well_covered(Signal.SM_ACTIVITY) and not case.well_covered(Signal.GPU_UTIL):
        return case.blocked(STAGE, Reason.NEEDS_SECOND_SIGNAL, "its activity must be sampled beside its requests")
    if case.profile.observed_s < case.settings.min_observed_h * HOUR_S:
        seen = f"{case.profile.observed_s / HOUR_S:.0f} h of data; {case.settings.min_observed_h} are needed"
        return case.blocked(STAGE, Reason.INSUFFICIENT_DATA, seen)
    return None


def _share(case: Case, rests_s: Floats) -> float:
    return float(rests_s.sum()) / case.profile.observed_s


def _proposal(case: Case, price: float, share: float, evidence: tuple[Evidence, ...]) -> Proposal:
    asked = _requests(case)
    cost_s = case.settings.cold_start_cost_s
    chosen_s = waits({"it": asked}, KeepAliveSettings(cost_s))["it"]
    waited_s = np.maximum(chosen_s, min(_LEAST_WAIT_S, (WORST_RATIO - 1) * cost_s))
    replayed = _spared(asked, waited_s, cost_s, case.profile.window.end_s) / case.profile.observed_s
    bound = f"replayed over its own rests; never above {WORST_RATIO:g} x hindsight"
    evidence += (Evidence(f"time spared net of cold starts, {bound}", None, "share", replayed, None, "ratio"),)
    gpu_h = case.gpus_now * HOURS_PER_MONTH * share
    # 2: the first to ask after a rest waits for a start. Low end: what the policy itself would have spared.
    saving = case.saving(gpu_h, price, low=min(1.0, max(0.0, replayed / share)))
    change = StopWhenIdle(math.ceil(float(waited_s[-1])))
    coverage = case.coverage(Signal.SM_ACTIVITY, Signal.GPU_UTIL) or 0.0
    reasons = (Reason.REST_LONGER_THAN_START,)
    return Proposal(Finding.IDLE_BETWEEN_USES, reasons, change, saving, 2, coverage, evidence)


def _requests(case: Case) -> Requests:
    """Each stretch between two rests as one long request: what is shorter than a rest is not told apart."""
    window = case.profile.window
    edges = [(window.start_s, window.start_s), *((i.start_s, i.end_s) for i in case.profile.idle.intervals)]
    starts = [float(end) for _, end in edges]
    ends = [*(float(start) for start, _ in edges[1:]), float(window.end_s)]
    if edges[-1][1] >= window.end_s and len(edges) > 1:  # at rest now: the last rest is open, no request ended it
        starts, ends = starts[:-1], ends[:-1]
    return Requests(np.array(starts), np.array(ends))


def _spared(asked: Requests, waited_s: Floats, cost_s: float, end_s: int) -> float:
    """Idle seconds that the waits would have spared in the rests there were, less the cost of their cold starts."""
    gaps = idle_gaps(asked)
    lasted_s = np.minimum(gaps.gap_s, end_s - gaps.since_s)
    pairs = zip(lasted_s.tolist(), waited_s.tolist(), strict=True)
    return math.fsum(lasted - gap_cost(lasted, wait, cost_s) for lasted, wait in pairs)
