"""Lower the power limit of work that nobody waits for, where it costs less speed than it saves energy."""

from gpuwise.model.gpu import GpuType
from gpuwise.model.inventory import WorkloadClass
from gpuwise.model.recommendation import CapPower, Evidence, Finding, Hold, Reason, Recommendation, Saving
from gpuwise.model.signal import Signal
from gpuwise.recommend.case import HOURS_PER_MONTH, Case, recommendation
from gpuwise.recommend.estimators import quantile
from gpuwise.recommend.power_cap import PowerCapSettings, expected_cap
from gpuwise.recommend.proposal import Proposal

STAGE = "power"
# Boards are set in steps like Zeus' own grid, and take no less than 40 % of their limit (V100: 100 of 250 W).
_STEP_W = 25.0
_LEAST_SHARE = 0.4
_CAPS = PowerCapSettings()


def cap_power(case: Case) -> Recommendation | Hold:
    """A power limit at which the work is expected to lose at most 5 % of its speed, or why none.

    It is where a search begins (`power_cap.next_cap`); the owners measure it, and one or two more.
    """
    gpu, workload = case.gpu_type, case.workload
    if workload.workload_class not in {WorkloadClass.TRAINING, WorkloadClass.BATCH}:
        return case.hold(STAGE, Reason.IS_A_SERVICE, "somebody waits for its answers")
    if not workload.pods:
        return case.hold(STAGE, Reason.ALREADY_STOPPED, "it holds no GPU now")
    if gpu is None:
        return case.hold(STAGE, Reason.UNKNOWN_GPU_TYPE, "its card is unknown or not of one type")
    if not case.well_covered(Signal.POWER, Signal.SM_ACTIVITY):
        return case.hold(STAGE, Reason.INSUFFICIENT_DATA, "power and SM activity must be well sampled")
    if case.settings.usd_per_kwh is None:
        detail = "energy has no price of its own in a cloud; where you pay for it, set recommend.usd_per_kwh"
        return case.hold(STAGE, Reason.NO_PRICE, detail)
    return _capped(case, gpu, case.settings.usd_per_kwh)


def _capped(case: Case, gpu: GpuType, usd_per_kwh: float) -> Recommendation | Hold:
    draw_w, busiest_w = case.profile.bottleneck.means.get(Signal.POWER), case.busiest(Signal.POWER)
    if busiest_w is None:
        return case.hold(STAGE, Reason.INSUFFICIENT_DATA, "its busiest hours may be among the samples that are missing")
    if draw_w is None:
        return case.hold(STAGE, Reason.NOTHING_TO_CAP, "it was never at work")
    levels = [gpu.board_watts * _LEAST_SHARE + _STEP_W * step for step in range(64)]
    limits = [*(level for level in levels if level < gpu.board_watts), gpu.board_watts]
    # By its busiest, missing samples taken as full draw: so less data never lowers the limit (I3).
    limit_w = expected_cap(limits, busiest_w, _CAPS)
    evidence = (
        Evidence("power while at work", Signal.POWER, "mean", draw_w, gpu.board_watts, "W"),
        Evidence("power, missing samples as full draw", Signal.POWER, quantile(case), busiest_w, None, "W"),
        Evidence("limit at which at most 5 % of speed is expected to be lost", None, "estimate", limit_w, None, "W"),
    )
    if limit_w >= draw_w:
        return case.hold(STAGE, Reason.NOTHING_TO_CAP, "it draws no more than the lowest useful limit", evidence)
    return recommendation(case, _proposal(case, limit_w, draw_w, usd_per_kwh, evidence))


def _proposal(
    case: Case, limit_w: float, draw_w: float, usd_per_kwh: float, evidence: tuple[Evidence, ...]
) -> Proposal:
    # Work takes up to 5 % longer at the lower power; what is saved is the difference.
    saved_share = max(0.0, 1 - limit_w / draw_w * (1 + _CAPS.max_slowdown))
    busy_gpu_h = case.gpus_now * HOURS_PER_MONTH * _busy_share(case)
    kwh = busy_gpu_h * draw_w / 1e3 * saved_share
    usd = kwh * usd_per_kwh
    return Proposal(
        finding=Finding.POWER_OVERPROVISIONED,
        reasons=(Reason.DRAWS_LESS_THAN_LIMIT,),
        change=CapPower(limit_w),
        # High end: nothing is lost of its speed.
        saving=Saving(usd, 0.0, busy_gpu_h * (draw_w - limit_w) / 1e3 * usd_per_kwh, 0.0, kwh, case.carbon(kwh)),
        risk=1,
        coverage=min(case.profile.coverage[Signal.POWER], case.profile.coverage[Signal.SM_ACTIVITY]),
        evidence=evidence,
        restart_needed=False,
    )


def _busy_share(case: Case) -> float:
    profile = case.profile
    return 1.0 - min(1.0, profile.idle.idle_gpu_s / profile.allocated_gpu_s) if profile.allocated_gpu_s else 0.0
