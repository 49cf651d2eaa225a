"""Name work that runs outside the regions that the class of its data allows."""

from gpuwise.model.changes import MoveToRegion
from gpuwise.model.findings import Finding
from gpuwise.model.labels import DATA_CLASS
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked, Evidence, Recommendation, Saving
from gpuwise.recommend.case import Case, recommendation
from gpuwise.recommend.proposal import Proposal

STAGE = "residency"


def stay_in_region(case: Case) -> Recommendation | Blocked:
    """Recommend the regions that its data class allows for a workload that runs elsewhere, or return why not.

    It saves nothing, and counts no GPU time: it excludes no other recommendation.
    """
    if not case.workload.active_pods:
        return case.blocked(STAGE, Reason.ALREADY_STOPPED, "it has no GPU now")
    data_class = case.data_class
    if data_class is None:
        return case.blocked(STAGE, Reason.NOT_APPLICABLE, f"no {DATA_CLASS} names the class of its data")
    allowed = case.settings.regions_by_data_class.get(data_class)
    if allowed is None:
        detail = f"data class {data_class!r} has no regions: set recommend.regions_by_data_class"
        return case.blocked(STAGE, Reason.UNREADABLE_POLICY, detail)
    regions = [case.region_of(pod) for pod in case.workload.active_pods]
    outside = sorted({region for region in regions if region is not None and region not in allowed})
    evidence = (
        Evidence(
            f"pods in {', '.join(outside) or 'other regions'}; {data_class} allows {', '.join(allowed) or 'no region'}",
            None,
            "count",
            float(sum(region in outside for region in regions)),
            float(len(regions)),
            "pods",
        ),
    )
    if not outside and None in regions:
        detail = f"the region of {regions.count(None)} of its {len(regions)} pods is not known"
        return case.blocked(STAGE, Reason.INSUFFICIENT_DATA, detail, evidence)
    if not outside:
        return case.blocked(STAGE, Reason.REGIONS_ALLOWED, f"{data_class} allows every region that it uses", evidence)
    # Risk 3: its data have to move with it.
    proposal = Proposal(
        Finding.OUTSIDE_DATA_REGION,
        (Reason.REGION_NOT_ALLOWED,),
        MoveToRegion(tuple(outside), allowed),
        Saving(0.0, 0.0, 0.0, 0.0),
        risk=3,
        coverage=1.0,
        evidence=evidence,
    )
    return recommendation(case, proposal, confidence=1.0, claims=())
