"""Lower the power limit of work that nobody waits for, where it costs less speed than it saves energy."""

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
from gpuwise.recommend.engines.power_limit_overprovisioned.expected import MAX_SLOWDOWN, expected_cap
from gpuwise.recommend.proposal import Proposal

STAGE = "power"
# Boards are set in steps like Zeus' own grid, and take no less than 40 % of their limit (V100: 100 of 250 W).
_STEP_W = 25.0
_LEAST_SHARE = 0.4
# What work draws that is busy for most of its time, with a margin over the median. Missing samples count as full draw,
# so less data never lowers the limit (I3); a mean would be lowered by rests that are taken for work.
_USUAL = 0.75
_MOSTLY = 0.5


def cap_power(case: Case) -> Recommendation | Blocked:
    """A power limit at which the work is expected to lose at most 5 % of its speed, or why none.

    It is the first limit to measure; `gpuwise.research.power_limit_overprovisioned` searches on from there.
    """
    gpu, workload = case.gpu_type, case.workload
    if workload.workload_class not in {WorkloadClass.TRAINING, WorkloadClass.BATCH}:
        return case.blocked(STAGE, Reason.IS_A_SERVICE, "somebody waits for its answers")
    if not workload.pods:
        return case.blocked(STAGE, Reason.ALREADY_STOPPED, "it holds no GPU now")
    if gpu is None:
        return case.blocked(STAGE, Reason.UNKNOWN_GPU_TYPE, "its card is unknown or not of one type")
    if not case.well_covered(Signal.POWER, Signal.SM_ACTIVITY):
        return case.blocked(STAGE, Reason.INSUFFICIENT_DATA, "power and SM activity must be well sampled")
    if case.settings.usd_per_kwh is None:
        detail = "energy has no price of its own in a cloud; where you pay for it, set recommend.usd_per_kwh"
        return case.blocked(STAGE, Reason.NO_PRICE, detail)
    return _capped(case, gpu, case.settings.usd_per_kwh)


def _capped(case: Case, gpu: GpuType, usd_per_kwh: float) -> Recommendation | Blocked:
    draw_w, usual_w = case.profile.bottleneck.means.get(Signal.POWER), case.busiest(Signal.POWER, _USUAL)
    if usual_w is None:
        return case.blocked(STAGE, Reason.INSUFFICIENT_DATA, "its busy hours may be among the samples that are missing")
    if draw_w is None or _busy_share(case) < _MOSTLY:
        return case.blocked(STAGE, Reason.NO_ACTIVITY, "at rest most of the time: a matter of stopping, not of power")
    levels = [gpu.board_watts * _LEAST_SHARE + _STEP_W * step for step in range(64)]
    limits = [*(level for level in levels if level < gpu.board_watts), gpu.board_watts]
    limit_w = expected_cap(limits, usual_w)
    evidence: tuple[Evidence, ...] = (
        Evidence("power while at work", Signal.POWER, "mean", draw_w, gpu.board_watts, "W"),
        Evidence("power, missing samples as full draw", Signal.POWER, f"p{_USUAL * 100:g}", usual_w, None, "W"),
        Evidence("limit at which at most 5 % of speed is expected to be lost", None, "estimate", limit_w, None, "W"),
    )
    above_w, slower_w = _spared(case.profile.distributions[Signal.POWER], limit_w)
    if above_w <= slower_w:
        return case.blocked(STAGE, Reason.NOTHING_TO_CAP, "it draws more than such a limit too seldom", evidence)
    evidence += (
        Evidence("draw above the limit, over all time held", Signal.POWER, "mean", above_w, None, "W"),
        Evidence("draw of the 5 % longer time, while above the limit", None, "estimate", slower_w, None, "W"),
    )
    return recommendation(case, _proposal(case, limit_w, (above_w, slower_w), usd_per_kwh, evidence))


def _spared(power: Distribution, limit_w: float) -> tuple[float, float]:
    """Watts that a limit cuts off on average, and those that work takes because it lasts longer under it."""
    shares = power.weights / power.weights.sum()
    above_w = np.maximum(0.0, power.midpoints - limit_w)
    return float(shares @ above_w), float(shares[above_w > 0.0].sum()) * MAX_SLOWDOWN * limit_w


def _proposal(
    case: Case, limit_w: float, spared_w: tuple[float, float], usd_per_kwh: float, evidence: tuple[Evidence, ...]
) -> Proposal:
    above_w, slower_w = spared_w
    held_h = case.gpus_now * HOURS_PER_MONTH
    kwh = held_h * (above_w - slower_w) / 1e3
    # High end: nothing is lost of its speed.
    high_usd = held_h * above_w / 1e3 * usd_per_kwh
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
