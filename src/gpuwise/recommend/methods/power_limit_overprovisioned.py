"""Lower the power limit of training and batch work if the energy saved is worth more than the speed lost."""

import math

import numpy as np

from gpuwise.model.changes import CapPower
from gpuwise.model.findings import Finding
from gpuwise.model.gpu import GpuType
from gpuwise.model.inventory import WorkloadClass
from gpuwise.model.profile import Distribution
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked, Evidence, Recommendation, Saving
from gpuwise.model.signal import Signal
from gpuwise.recommend.case import HOURS_PER_MONTH, Case, recommendation
from gpuwise.recommend.engines.power_limit_overprovisioned import search
from gpuwise.recommend.proposal import Proposal

STAGE = "power"
# Boards accept limits in whole watts, and none below 40 % of their maximum (V100: 100 of 250 W).
_STEP_W = 5.0
_LEAST_SHARE = 0.4
# Quantile of the power draw of work that is busy most of the time, with a margin over the median. Missing samples count
# as full draw, so less data never lowers the limit (I3). A mean would be too low if idle time was taken for work.
_USUAL = 0.75
_MOSTLY = 0.5

TOO_SLOW = 0.23
"""Share of the first limits, not measured, under which work is more than 6 % slower: 28 of 121 on Zeus' V100 and A40,
with limits in steps of 5 W. A test compares it with the backtest."""

_UNMEASURED = (
    "share of 121 measured workloads (Zeus, V100 and A40) that were more than 6 % slower at such a limit: measure the "
    "time of a step under it, and set the limit before again if it is more than 5 % longer"
)
_SAME_OR_HIGHER = "limit advised before, which may be in force: none below it is advised"
_NOT_READ = "limit in force; it is not read: if `nvidia-smi -q -d POWER` shows a lower one, this limit is too low"


def cap_power(case: Case) -> Recommendation | Blocked:
    """Recommend the power limit to measure first, with an expected slowdown of less than 5 %, or return why not.

    It is the first limit of the search, or the one that the last run advised if that is higher: which limit is in
    force, and how fast the work is, is not read.
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
    return _capped(case, gpu, case.settings.usd_per_kwh)


def _capped(case: Case, gpu: GpuType, usd_per_kwh: float) -> Recommendation | Blocked:
    draw_w, usual_w = case.profile.bottleneck.means.get(Signal.POWER), case.busiest(Signal.POWER, _USUAL)
    if usual_w is None:
        return case.blocked(STAGE, Reason.INSUFFICIENT_DATA, "its busy hours may be among the missing samples")
    if draw_w is None or _busy_share(case) < _MOSTLY:
        detail = "it is idle most of the time: stop it instead of lowering its power limit"
        return case.blocked(STAGE, Reason.NO_ACTIVITY, detail)
    advised_w = _advised(case)
    # Under a limit in force the draw is that limit: without this, each pass would advise a lower one.
    limit_w = max(_first(gpu.board_watts, usual_w), advised_w or 0.0)
    evidence: tuple[Evidence, ...] = (
        Evidence("power while at work", Signal.POWER, "mean", draw_w, gpu.board_watts, "W"),
        Evidence("power, missing samples counted as full draw", Signal.POWER, f"p{_USUAL * 100:g}", usual_w, None, "W"),
        Evidence("limit to measure first, expected slowdown below 5 %", None, "estimate", limit_w, None, "W"),
        Evidence(_UNMEASURED, None, "backtest", TOO_SLOW, None, "ratio"),
        Evidence(_NOT_READ, None, "assumed", gpu.board_watts, None, "W"),
        *(() if advised_w is None else (Evidence(_SAME_OR_HIGHER, None, "advised", advised_w, None, "W"),)),
    )
    above_w, slower_w = _saved_w(case.profile.distributions[Signal.POWER], limit_w)
    if above_w <= slower_w and advised_w is None:
        return case.blocked(STAGE, Reason.NOTHING_TO_CAP, "its power is rarely above such a limit", evidence)
    evidence += (
        Evidence("power above the limit, mean over the allocated time", Signal.POWER, "mean", above_w, None, "W"),
        Evidence("power of the up to 5 % longer run time", None, "estimate", slower_w, None, "W"),
    )
    return recommendation(case, _proposal(case, limit_w, (above_w, slower_w), usd_per_kwh, evidence))


def _advised(case: Case) -> float | None:
    """The limit that the last run advised for it, None if it advised none.

    It is advised again also when nothing is above it any more, because it may be in force; otherwise the run after that
    would not know it.
    """
    limits = (item.change.limit_w for item in case.earlier if isinstance(item.change, CapPower))
    return next(limits, None)


def _first(board_w: float, draw_w: float) -> float:
    """The first limit to measure on a board whose limit is its maximum; the maximum if there is no other."""
    least_w = math.ceil(board_w * _LEAST_SHARE / _STEP_W) * _STEP_W
    limits = [*np.arange(least_w, board_w, _STEP_W).tolist(), board_w]
    highest = search.CapTrial(board_w, energy_j=draw_w, time_s=1.0)
    return search.next_cap(limits, [highest], search.PowerCapSettings()) or board_w


def _saved_w(power: Distribution, limit_w: float) -> tuple[float, float]:
    """Average watts above a limit, and average watts that the work takes because it runs longer under the limit."""
    shares = power.weights / power.weights.sum()
    above_w = np.maximum(0.0, power.values - limit_w)
    return float(shares @ above_w), float(shares[above_w > 0.0].sum()) * search.MAX_SLOWDOWN * limit_w


def _proposal(
    case: Case, limit_w: float, saved_w: tuple[float, float], usd_per_kwh: float, evidence: tuple[Evidence, ...]
) -> Proposal:
    above_w, slower_w = saved_w
    gpu_h = case.gpus_now * HOURS_PER_MONTH
    kwh = gpu_h * max(0.0, above_w - slower_w) / 1e3
    # High end: the work does not slow down.
    high_usd = gpu_h * above_w / 1e3 * usd_per_kwh
    return Proposal(
        finding=Finding.POWER_LIMIT_OVERPROVISIONED,
        reasons=(Reason.DRAWS_LESS_THAN_LIMIT,),
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
