"""Stop workloads other than endpoints in the hours of the week without use, such as nights and weekends."""

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.changes import StopAtHours
from gpuwise.model.findings import Finding
from gpuwise.model.inventory import WorkloadClass
from gpuwise.model.kinds import JOBS, STOPPABLE
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked, Evidence, Recommendation
from gpuwise.recommend.case import HOURS_PER_MONTH, Case, recommendation
from gpuwise.recommend.proposal import Proposal
from gpuwise.recommend.settings import HOUR_S

STAGE = "hours"
WEEK_H = 168
WEEK_S = WEEK_H * HOUR_S


def stop_at_hours(case: Case) -> Recommendation | Blocked:
    """Recommend stopping a workload in the hours without use in every observed week, or return why not."""
    refusal = _refusal(case)
    if refusal is not None:
        return refusal
    quiet = _quiet(case)
    if quiet.all():
        return case.blocked(STAGE, Reason.NO_ACTIVITY, "it was never used: stop it altogether")
    spans = _spans(quiet, case.settings.min_unused_span_h)
    hours = sum(last - first for first, last in spans)
    weeks = case.profile.observed_s / WEEK_S
    evidence = (
        Evidence("hours of the week without use in any week, in spans", None, "count", hours, None, "h"),
        Evidence("weeks of data", None, "count", weeks, case.settings.min_weeks, "weeks"),
    )
    if not spans:
        detail = f"no {case.settings.min_unused_span_h} consecutive hours of the week were always without use"
        return case.blocked(STAGE, Reason.USED_AT_ALL_HOURS, detail, evidence)
    price = case.usd_per_gpu_h()
    if price is None:
        detail = "it is unused at the same hours, but no price is known for its GPUs"
        return case.blocked(STAGE, Reason.NO_PRICE, detail, evidence)
    # Rule of succession: an hour unused in n weeks is unused in the next with probability (n + 1) / (n + 2).
    saving = case.saving(case.gpus_now * HOURS_PER_MONTH * hours / WEEK_H, price, low=(weeks + 1) / (weeks + 2))
    change, coverage = StopAtHours(tuple(spans)), min(case.profile.coverage.values())
    # Risk 2: a user who works at an unusual hour waits for a start.
    proposal = Proposal(Finding.UNUSED_HOURS, (Reason.SAME_HOURS_UNUSED,), change, saving, 2, coverage, evidence)
    return recommendation(case, proposal)


def _refusal(case: Case) -> Blocked | None:
    workload = case.workload
    if workload.workload_class is WorkloadClass.ENDPOINT:
        return case.blocked(STAGE, Reason.IS_A_SERVICE, "a request may arrive at any hour")
    if workload.ref.kind not in STOPPABLE - JOBS:
        return case.blocked(STAGE, Reason.NOT_APPLICABLE, f"a {workload.ref.kind} cannot be stopped and started again")
    if not workload.active_pods:
        return case.blocked(STAGE, Reason.ALREADY_STOPPED, "it has no GPU now")
    if case.profile.idle.agreeing_sensors < case.settings.agreeing_sensors and case.profile.idle.since_s is not None:
        return case.blocked(STAGE, Reason.NEEDS_SECOND_SIGNAL, "only one sensor shows its hours as unused")
    # One hour less at each end: the window begins and ends within an hour.
    if case.profile.observed_s < case.settings.min_weeks * WEEK_S - 2 * HOUR_S:
        detail = f"{case.profile.observed_s / WEEK_S:.1f} weeks of data; {case.settings.min_weeks} are required"
        return case.blocked(STAGE, Reason.INSUFFICIENT_DATA, detail)
    if case.covered_sensors < case.settings.agreeing_sensors:
        least = min(case.profile.coverage.values(), default=0.0)
        detail = (
            f"{case.settings.agreeing_sensors} sensors must have {case.settings.min_coverage:.0%} of their samples; "
            f"the lowest coverage is {least:.0%}"
        )
        return case.blocked(STAGE, Reason.INSUFFICIENT_DATA, detail)
    return None


def _quiet(case: Case) -> NDArray[np.bool_]:
    """Hours unused in every observed week; without the hour before a use, for the start-up."""
    unused = case.profile.rhythm.unused_weeks >= case.settings.min_weeks
    return np.asarray(unused & np.concatenate((unused[1:], unused[:1])))


def _spans(quiet: NDArray[np.bool_], least_h: int) -> list[tuple[int, int]]:
    """[first, last) of each run of quiet hours; a run across the end of Sunday counts as two."""
    padded = np.concatenate(([False], quiet, [False]))
    (edges,) = (padded[1:] != padded[:-1]).nonzero()
    runs = list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
    return [(first, last) for first, last in runs if last - first >= least_h]
