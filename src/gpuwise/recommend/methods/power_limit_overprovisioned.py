"""Lower the power limit of training and batch work if the energy saved is worth more than the speed lost."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gpuwise.model.changes import CapPower
from gpuwise.model.declared import bad_work_metric, work_metric
from gpuwise.model.findings import Finding
from gpuwise.model.gpu import GpuType
from gpuwise.model.inventory import WorkloadClass
from gpuwise.model.labels import WORK_METRIC
from gpuwise.model.profile import Distribution
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked, Evidence, Recommendation, Saving
from gpuwise.model.signal import Signal
from gpuwise.recommend.case import HOURS_PER_MONTH, Case, recommendation
from gpuwise.recommend.engines.paces import LEAST_S, LEAST_UNITS
from gpuwise.recommend.engines.power_limit_overprovisioned import advice, search
from gpuwise.recommend.engines.power_limit_overprovisioned.advice import Advised, Step
from gpuwise.recommend.proposal import Proposal
from gpuwise.recommend.settings import HOUR_S

STAGE = "power"
# Quantile of the power draw of work that is busy most of the time, with a margin over the median. Missing samples count
# as full draw, so less data never lowers the limit (I3). A mean would be too low if idle time was taken for work.
_USUAL = 0.75
_MOSTLY = 0.5

TOO_SLOW = 0.23
"""Share of the first limits, not measured, under which work is more than 6 % slower: 28 of 121 on Zeus' V100 and A40,
with limits in steps of 5 W. A test compares it with the backtest."""

_SETTINGS = search.PowerCapSettings()
_UNMEASURED = (
    "share of 121 measured workloads (Zeus, V100 and A40) that were more than 6 % slower at such a limit: measure the "
    "time of a step under it, and set the limit before again if it is more than 5 % longer"
)
_SAME_OR_HIGHER = "limit advised before, which may be in force: none below it is advised"
_NOT_READ = "limit in force; it is not read: if `nvidia-smi -q -d POWER` shows a lower one, this limit is too low"


@dataclass(frozen=True, slots=True)
class _Worth:
    """What a limit is worth: watts of one GPU, averaged over its allocated time.

    Attributes:
        watts: saved, with the energy of a longer run time subtracted.
        most_watts: the same if the work does not slow down.
    """

    watts: float
    most_watts: float


def cap_power(case: Case) -> Recommendation | Blocked:
    """Recommend the next power limit to measure, or the one to keep, or return why not.

    Where the speed of its work and the limit in force are measured, the search goes on by itself: a limit that is more
    than 5 % slower is taken back. Otherwise it is the first limit of the search, which nobody measured, or the one that
    the last run advised if that is higher.
    """
    gpu, workload = case.gpu_type, case.workload
    if workload.workload_class not in {WorkloadClass.TRAINING, WorkloadClass.BATCH}:
        return case.blocked(STAGE, Reason.IS_A_SERVICE, "users wait for its answers")
    if not workload.active_pods:
        return case.blocked(STAGE, Reason.ALREADY_STOPPED, "it has no GPU now")
    if gpu is None:
        return case.blocked(STAGE, Reason.UNKNOWN_GPU_TYPE, "its GPU type is unknown or mixed")
    if not case.well_covered(Signal.POWER, Signal.SM_ACTIVITY):
        return case.blocked(STAGE, Reason.INSUFFICIENT_DATA, "power and SM activity must be well sampled")
    if case.settings.usd_per_kwh is None:
        detail = "in a cloud the price of a GPU includes energy; if you pay for energy, set recommend.usd_per_kwh"
        return case.blocked(STAGE, Reason.NO_PRICE, detail)
    usual_w = case.busiest(Signal.POWER, _USUAL)
    if usual_w is None:
        return case.blocked(STAGE, Reason.INSUFFICIENT_DATA, "its busy hours may be among the missing samples")
    if case.profile.bottleneck.means.get(Signal.POWER) is None or _busy_share(case) < _MOSTLY:
        detail = "it is idle most of the time: stop it instead of lowering its power limit"
        return case.blocked(STAGE, Reason.NO_ACTIVITY, detail)
    found = advice.advised_cap(
        case.profile.paces,
        gpu_type=gpu.name,
        limits_w=advice.limits_of(gpu.board_watts),
        draw_w=usual_w,
        settings=_SETTINGS,
    )
    if found.step is Step.GUESS:
        return _guessed(case, gpu, found.limit_w, usual_w, case.settings.usd_per_kwh)
    return _measured(case, found, case.settings.usd_per_kwh)


def _guessed(case: Case, gpu: GpuType, first_w: float, usual_w: float, usd_per_kwh: float) -> Recommendation | Blocked:
    """The first limit to measure, where neither the speed of the work nor the limit in force is known."""
    draw_w, advised_w = case.profile.bottleneck.means[Signal.POWER], _advised(case)
    # Under a limit in force the draw is that limit: without this, each pass would advise a lower one.
    limit_w = max(first_w, advised_w or 0.0)
    evidence: tuple[Evidence, ...] = (
        Evidence("power while at work", Signal.POWER, "mean", draw_w, gpu.board_watts, "W"),
        Evidence("power, missing samples counted as full draw", Signal.POWER, f"p{_USUAL * 100:g}", usual_w, None, "W"),
        Evidence("limit to measure first, expected slowdown below 5 %", None, "estimate", limit_w, None, "W"),
        Evidence(_UNMEASURED, None, "backtest", TOO_SLOW, None, "ratio"),
        Evidence(_NOT_READ, None, "assumed", gpu.board_watts, None, "W"),
        Evidence(_why_not_measured(case), None, "not measured", None, None, ""),
        *(() if advised_w is None else (Evidence(_SAME_OR_HIGHER, None, "advised", advised_w, None, "W"),)),
    )
    above_w, slower_w = _saved_w(case.profile.distributions[Signal.POWER], limit_w)
    if above_w <= slower_w and advised_w is None:
        return case.blocked(STAGE, Reason.NOTHING_TO_CAP, "its power is rarely above such a limit", evidence)
    evidence += (
        Evidence("power above the limit, mean over the allocated time", Signal.POWER, "mean", above_w, None, "W"),
        Evidence("power of the up to 5 % longer run time", None, "estimate", slower_w, None, "W"),
    )
    worth = _Worth(max(0.0, above_w - slower_w), above_w)
    return recommendation(case, _proposal(case, limit_w, Reason.DRAWS_LESS_THAN_LIMIT, worth, usd_per_kwh, evidence))


def _why_not_measured(case: Case) -> str:
    """Why the speed under the limit in force is not known, and what to do about it."""
    bad, metric, profile = bad_work_metric(case.workload), work_metric(case.workload), case.profile
    if bad is not None:
        return bad
    if metric is None:
        return (
            f"the speed of its work is not read: annotate it with {WORK_METRIC}: the name of a counter of its steps, "
            "and the limits that follow are chosen by their measured speed"
        )
    if profile.work is None:
        return f"the counter {metric} of {WORK_METRIC} has no samples: check that Prometheus scrapes its pods"
    if profile.paces and all(one.limit_w is None for one in profile.paces):
        return (
            "the power limit in force is not sampled: add DCGM_FI_DEV_ENFORCED_POWER_LIMIT to the counters of "
            "dcgm-exporter, or run gpuwise's exporter"
        )
    return f"no time in which {metric} was sampled and all its GPUs, whole and of one type, worked under one limit"


def _advised(case: Case) -> float | None:
    """The limit that the last run advised for it, None if it advised none.

    It is advised again also when nothing is above it any more, because it may be in force; otherwise the run after that
    would not know it.
    """
    limits = (item.change.limit_w for item in case.earlier if isinstance(item.change, CapPower))
    return next(limits, None)


def _saved_w(power: Distribution, limit_w: float) -> tuple[float, float]:
    """Average watts above a limit, and average watts that the work takes because it runs longer under the limit."""
    shares = power.weights / power.weights.sum()
    above_w = np.maximum(0.0, power.values - limit_w)
    return float(shares @ above_w), float(shares[above_w > 0.0].sum()) * search.MAX_SLOWDOWN * limit_w


def _measured(case: Case, found: Advised, usd_per_kwh: float) -> Recommendation | Blocked:
    """The advice where the speed under the limit in force is measured."""
    evidence = tuple(_measurements(found))
    at = f"{found.in_force_w:.0f} W"
    match found.step:
        case Step.WAIT:
            assert found.newest is not None
            detail = (
                f"{at} is in force: {found.newest.seconds / HOUR_S:.1f} h and {found.newest.work:.0f} units of work "
                f"are measured under it; {LEAST_S / HOUR_S:.0f} h and {LEAST_UNITS:.0f} units are required"
            )
            return case.blocked(STAGE, Reason.INSUFFICIENT_DATA, detail, evidence)
        case Step.KEEP if found.limit_w == found.in_force_w:
            detail = f"keep {at}: of the limits measured it takes the least energy at no more than 5 % slowdown"
            if case.gpu_type is not None and found.reference.limit_w < case.gpu_type.board_watts:
                detail += f"; to measure lower ones, measure {case.gpu_type.board_watts:.0f} W first"
            return case.blocked(STAGE, Reason.LIMIT_IS_BEST, detail, evidence)
        case Step.TAKE_BACK | Step.AGAIN:
            reason = Reason.SLOWER_UNDER_LIMIT if found.step is Step.TAKE_BACK else Reason.MEASURE_AGAIN
            proposal = _proposal(case, found.limit_w, reason, _Worth(0.0, 0.0), usd_per_kwh, evidence)
            # It saves nothing and counts no GPU time: it excludes no other recommendation.
            return recommendation(case, proposal, claims=())
    reason = Reason.LIMIT_MEASURED if found.step is Step.KEEP else Reason.DRAWS_LESS_THAN_LIMIT
    worth = _worth(found, _busy_share(case))
    return recommendation(case, _proposal(case, found.limit_w, reason, worth, usd_per_kwh, evidence))


def _worth(found: Advised, busy: float) -> _Worth:
    """What a limit is worth over the one in force: by measurement if it has one, else by the draw above it."""
    now, then = found.trial(found.in_force_w), found.trial(found.limit_w)
    assert now is not None, "a limit that was not measured is waited for"
    if found.newest is None or found.newest.energy_j is None:
        return _Worth(0.0, 0.0)  # the limit stands for the draw: what is above another limit may not be drawn
    draw_w = now.energy_j / now.time_s
    if then is not None:
        watts = max(0.0, now.energy_j - then.energy_j) / now.time_s * busy
        return _Worth(watts, watts)
    above_w = max(0.0, draw_w - found.limit_w)
    return _Worth(max(0.0, above_w - search.MAX_SLOWDOWN * found.limit_w) * busy, above_w * busy)


def _measurements(found: Advised) -> Iterator[Evidence]:
    """The limit in force, and speed and energy under each limit that was measured."""
    yield Evidence("power limit in force", Signal.POWER_LIMIT, "max", found.in_force_w, None, "W")
    for trial in found.trials:
        at = f"{trial.limit_w:.0f} W"
        if trial is found.reference:
            yield Evidence(f"speed at {at}", Signal.WORK, "rate", 1.0 / trial.time_s, None, "units/s")
            yield Evidence(
                f"power at {at} while at work", Signal.POWER, "mean", trial.energy_j / trial.time_s, None, "W"
            )
            continue
        over = f"over that at {found.reference.limit_w:.0f} W"
        slowdown, most = trial.time_s / found.reference.time_s, 1.0 + search.MAX_SLOWDOWN
        yield Evidence(f"time per unit of work at {at} {over}", Signal.WORK, "rate", slowdown, most, "ratio")
        energy = trial.energy_j / found.reference.energy_j
        yield Evidence(f"energy per unit of work at {at} {over}", Signal.POWER, "mean", energy, None, "ratio")
    if found.step is Step.TRY:
        yield Evidence(
            "limit to measure next, expected slowdown below 5 %; after four hours of work a scan compares its speed",
            None, "estimate", found.limit_w, None, "W",
        )  # fmt: skip


def _proposal(
    case: Case, limit_w: float, reason: Reason, worth: _Worth, usd_per_kwh: float, evidence: tuple[Evidence, ...]
) -> Proposal:
    gpu_h = case.gpus_now * HOURS_PER_MONTH
    kwh = gpu_h * worth.watts / 1e3
    high_usd = gpu_h * worth.most_watts / 1e3 * usd_per_kwh
    return Proposal(
        finding=Finding.POWER_LIMIT_OVERPROVISIONED,
        reasons=(reason,),
        change=CapPower(limit_w),
        saving=Saving(kwh * usd_per_kwh, 0.0, high_usd, 0.0, kwh, case.carbon(kwh)),
        risk=1,
        coverage=min(case.profile.coverage[Signal.POWER], case.profile.coverage[Signal.SM_ACTIVITY]),
        evidence=evidence,
        restart_needed=False,
    )


def _busy_share(case: Case) -> float:
    profile = case.profile
    return 1.0 - min(1.0, profile.idle.idle_gpu_s / profile.allocated_gpu_s) if profile.allocated_gpu_s else 0.0
