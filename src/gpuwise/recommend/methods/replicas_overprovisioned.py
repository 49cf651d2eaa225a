"""Reduce the replicas of an endpoint to what its load needs, but never below what its availability needs."""

import math

from gpuwise.model.changes import ScaleTo
from gpuwise.model.findings import Finding
from gpuwise.model.inventory import WorkloadClass
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked, Evidence, Recommendation
from gpuwise.model.signal import Signal
from gpuwise.recommend.case import HOURS_PER_MONTH, Case, recommendation
from gpuwise.recommend.estimators import needed_activity, needs
from gpuwise.recommend.proposal import Proposal
from gpuwise.recommend.settings import HOUR_S

STAGE = "replicas"
_ACTIVITY = needed_activity(Signal.SM_ACTIVITY)
_SCALED = frozenset({"Deployment", "StatefulSet"})


def fewer_replicas(case: Case) -> Recommendation | Blocked:
    """Recommend fewer replicas, based on the highest load that all of them carried at once, or return why not."""
    workload, settings = case.workload, case.settings
    if workload.workload_class is not WorkloadClass.ENDPOINT or workload.ref.kind not in _SCALED:
        return case.blocked(STAGE, Reason.NOT_APPLICABLE, "only the replicas of endpoints can replace each other")
    if not workload.replicas or not workload.active_pods:
        return case.blocked(STAGE, Reason.ALREADY_STOPPED, "it has no GPU now")
    if workload.replicas <= settings.min_replicas:
        return case.blocked(
            STAGE, Reason.SINGLE_REPLICA, f"replicas: {workload.replicas}; the minimum is {settings.min_replicas}"
        )
    observed_h = case.profile.observed_s / HOUR_S
    activity = _ACTIVITY(case)
    if observed_h < settings.min_observed_h or activity is None:
        detail = f"{observed_h:.0f} h of data; {settings.min_observed_h} h of well-sampled SM activity are required"
        return case.blocked(STAGE, Reason.INSUFFICIENT_DATA, detail)
    return _sized(case, workload.replicas, activity)


def _sized(case: Case, replicas: int, activity: float) -> Recommendation | Blocked:
    settings = case.settings
    if activity == 0.0:
        return case.blocked(STAGE, Reason.NO_ACTIVITY, "it was never used: stop it instead of resizing it")
    # The quantile over single devices, applied to all at once, is an upper bound of their total load.
    needed = max(settings.min_replicas, math.ceil(replicas * activity / settings.target_load))
    evidence = (
        *needs(case, Signal.SM_ACTIVITY)[:2],
        Evidence("target SM activity of a replica", None, "limit", settings.target_load, None, "ratio"),
        Evidence("replicas needed", None, "count", needed, replicas, "replicas"),
    )  # fmt: skip
    if needed >= replicas:
        return case.blocked(STAGE, Reason.WELL_SIZED, f"its load needs all of its {replicas} replicas", evidence)
    price = case.usd_per_gpu_h()
    if price is None:
        detail = "it has too many replicas, but no price is known for its GPUs"
        return case.blocked(STAGE, Reason.NO_PRICE, detail, evidence)
    gpu_h = case.gpus_now * (1 - needed / replicas) * HOURS_PER_MONTH
    # Risk 2: losing a replica then loses a larger share of the capacity. Low end: half, as for all freed GPUs.
    return recommendation(
        case,
        Proposal(
            finding=Finding.REPLICAS_OVERPROVISIONED,
            reasons=(Reason.LOAD_FITS_FEWER_REPLICAS,),
            change=ScaleTo(needed),
            saving=case.saving(gpu_h, price, low=0.5),
            risk=2,
            coverage=case.profile.coverage[Signal.SM_ACTIVITY],
            evidence=evidence,
            restart_needed=False,
        ),
    )
