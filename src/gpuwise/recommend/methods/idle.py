"""Stop workloads that nobody uses."""

from dataclasses import replace

from gpuwise.model.changes import ScaleTo
from gpuwise.model.findings import Finding
from gpuwise.model.kinds import JOBS, STOPPABLE, refused
from gpuwise.model.profile import IdleEvidence, SignalVerdict, Verdict
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import NEXT_USE, Blocked, Evidence, Recommendation, Saving
from gpuwise.model.signal import SIGNALS, Signal
from gpuwise.recommend.case import HOURS_PER_MONTH, Case, recommendation
from gpuwise.recommend.proposal import Proposal
from gpuwise.recommend.settings import HOUR_S

STAGE = "idle"
_REPLAYED_S = HOUR_S
"""A pod that was started this long after now is of the time after a replay, and of no clock that is ahead."""
_TEXTS = {Verdict.IDLE: "idle", Verdict.BUSY: "in use", Verdict.UNKNOWN: "too few samples"}


def idle_shutdown(case: Case) -> Recommendation | Blocked:
    """Recommend scaling to zero a workload that every signal shows as idle for long enough, or return why not."""
    refusal = _refusal(case)
    if refusal is not None:
        return refusal
    price = case.usd_per_gpu_h()
    evidence = _evidence(case)
    if price is None:
        return case.blocked(
            STAGE, Reason.NO_PRICE, "it is idle, but no price is known for its GPUs: give one with --prices", evidence
        )
    return recommendation(
        case,
        Proposal(
            finding=Finding.ORPHANED if _orphaned(case) else Finding.IDLE,
            reasons=_reasons(case),
            change=ScaleTo(0),
            saving=_saving(case, price),
            risk=_risk(case),
            coverage=min(v.coverage for v in case.profile.idle.verdicts if v.verdict is Verdict.IDLE),
            evidence=(*evidence, _forecast(case)),
        ),
    )


def _refusal(case: Case) -> Blocked | None:
    idle, workload = case.profile.idle, case.workload
    needed_h = case.settings.idle_after_h[workload.workload_class]
    idle_h = _idle_h(case)
    if workload.ref.kind not in STOPPABLE:
        return case.blocked(STAGE, Reason.KIND_NOT_SUPPORTED, refused(workload.ref.kind), _evidence(case))
    if workload.replicas == 0 or not workload.active_pods:
        return case.blocked(STAGE, Reason.ALREADY_STOPPED, "it has no GPU now")
    if not idle.verdicts:
        return case.blocked(STAGE, Reason.INSUFFICIENT_DATA, case.never_sampled)
    if idle.since_s is None:
        return _not_idle_now(case, idle)
    if idle.agreeing_sensors < case.settings.agreeing_sensors:
        needed = case.settings.agreeing_sensors
        detail = f"idle for {idle_h:.0f} h, but only {idle.agreeing_sensors} of {needed} required sensors agree"
        return case.blocked(STAGE, Reason.NEEDS_SECOND_SIGNAL, detail, _evidence(case))
    # Its sensors know nothing of the time before its pods: it may have been stopped then (kubeflow#6648). Pods that
    # were started after the instant of a replay do not count; those of a clock that is ahead were started just now.
    starts = (one.started_s for one in workload.active_pods if one.started_s is not None)
    ages_h = (max(0, case.now_s - started_s) / HOUR_S for started_s in starts if started_s - case.now_s < _REPLAYED_S)
    idle_h = min([idle_h, *ages_h])
    if idle_h < needed_h:
        detail = f"idle for {idle_h:.1f} h; the threshold for class {workload.workload_class.value} is {needed_h} h"
        return case.blocked(STAGE, Reason.TOO_YOUNG, detail, _evidence(case))
    return None


def _not_idle_now(case: Case, idle: IdleEvidence) -> Blocked:
    busy = [v.signal for v in idle.verdicts if v.verdict is Verdict.BUSY]
    if not busy:
        return case.blocked(STAGE, Reason.INSUFFICIENT_DATA, case.missing, _evidence(case))
    quiet = [v.signal for v in idle.verdicts if v.verdict is Verdict.IDLE]
    reason, detail = Reason.BUSY, f"in use according to {', '.join(busy)}"
    if quiet:
        reason, detail = Reason.SIGNALS_DISAGREE, f"{detail}, but not according to {', '.join(quiet)}"
    if case.profile.unsampled_pods:
        detail = f"{detail}; {case.missing}"
    return case.blocked(STAGE, reason, detail, _evidence(case))


def _idle_h(case: Case) -> float:
    since_s = case.profile.idle.since_s
    return 0.0 if since_s is None else (case.profile.window.end_s - since_s) / HOUR_S


def _orphaned(case: Case) -> bool:
    """Whether no label names an owner and it has been idle for `orphaned_after_h`, so that it may be deleted."""
    return case.team is None and _idle_h(case) >= case.settings.orphaned_after_h


def _reasons(case: Case) -> tuple[Reason, ...]:
    no_requests = (Reason.NO_REQUESTS,) if case.profile.requests is not None else ()
    return (Reason.NO_ACTIVITY, *no_requests, *((Reason.NO_OWNER,) if _orphaned(case) else ()))


def _saving(case: Case, usd_per_gpu_h: float) -> Saving:
    """Its GPU time until the forecast next use, at most a month: median, early and late."""
    now_s, expected = case.profile.window.end_s, case.profile.next_use
    until = (None, None, None) if expected is None else (expected.early_s, expected.median_s, expected.late_s)
    early, middle, late = (
        HOURS_PER_MONTH if use_s is None else min(HOURS_PER_MONTH, max(0.0, use_s - now_s) / HOUR_S) for use_s in until
    )
    saving = case.saving(case.gpus_now * middle, usd_per_gpu_h, low=early / middle if middle > 0 else 0.0)
    return replace(saving, high_usd_month=case.gpus_now * late * usd_per_gpu_h)


def _forecast(case: Case) -> Evidence:
    """Hours until it is likely to be used again; None is beyond the forecast of two weeks."""
    expected = case.profile.next_use
    if expected is None:
        return Evidence("it was never used, so no next use is expected", None, "forecast", None, None, "h")
    if expected.median_s is None:
        return Evidence("no use is expected within two weeks", None, "forecast", None, None, "h")
    hours = (expected.median_s - case.profile.window.end_s) / HOUR_S
    return Evidence(NEXT_USE, None, "forecast", hours, None, "h")


def _risk(case: Case) -> int:
    """0 if it was never used in the window; 1 if it was; 3 for a Job, because its unsaved work is lost."""
    if case.workload.ref.kind in JOBS:
        return 3
    never_used = case.profile.idle.since_s == case.profile.window.start_s
    return 0 if never_used else 1


def _evidence(case: Case) -> tuple[Evidence, ...]:
    return (*map(_number, case.profile.idle.verdicts), *case.unsampled)


def _number(verdict: SignalVerdict) -> Evidence:
    unit = SIGNALS[verdict.signal].unit
    text = f"{verdict.signal}: {_TEXTS[verdict.verdict]} ({verdict.coverage:.0%} sampled)"
    limit = None if verdict.signal is Signal.REQUESTS else verdict.threshold
    return Evidence(text, verdict.signal, "max", verdict.highest, limit, unit)
