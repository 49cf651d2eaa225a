"""A week of a made-up fleet, with every kind of content a view must show."""

import pytest

from gpuwise.model.changes import Change, MoveToSpot, Resize, ScaleTo
from gpuwise.model.command import Command, Intent, Outcome, OutcomeStatus
from gpuwise.model.findings import Finding
from gpuwise.model.inventory import GpuRequest, WorkloadRef
from gpuwise.model.profile import Limit
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked, Evidence, Recommendation, Saving
from gpuwise.model.report import Action, Bill, DataQuality, FleetDay, TeamCost, WeeklyReport, WorkloadCost
from gpuwise.model.signal import Signal

MONDAY = 1_794_787_200  # 2026-11-16
DAY = 86_400


def ref(namespace: str, kind: str, name: str) -> WorkloadRef:
    return WorkloadRef(namespace, kind, name, f"uid-{name}")


def recommended(number: int, workload: WorkloadRef, owner: str | None, change: Change, usd: float) -> Recommendation:
    finding = {
        "ScaleTo": Finding.IDLE,
        "Resize": Finding.GPU_OVERPROVISIONED,
        "MoveToSpot": Finding.INTERRUPTIBLE_ON_DEMAND,
    }
    return Recommendation(
        id=f"r-{number:010x}",
        workload=workload,
        owner=owner,
        finding=finding[change.kind],
        reasons=(Reason.NO_ACTIVITY,),
        change=change,
        saving=Saving(usd, usd * 0.8, usd * 1.05, usd / 3),
        risk=number % 4,
        confidence=0.9,
        coverage=0.97,
        evidence=(
            Evidence("no multiprocessor was active for 19 days", Signal.SM_ACTIVITY, "max", 0.0, 0.02, "ratio"),
            Evidence("power stayed at the idle draw", Signal.POWER, "max", 131.0, 175.0, "watts"),
            Evidence("no request arrived", Signal.REQUESTS, "sum", None, None, "requests"),
        ),
        restart_needed=change.kind != "ScaleTo",
        rollback_possible=True,
        effort="Low",
        created_s=MONDAY,
        expires_s=MONDAY + 7 * DAY,
        etag=f"e{number}",
    )


def action(number: int, workload: WorkloadRef, status: OutcomeStatus | None, usd: float) -> Action:
    change = ScaleTo(0)
    command = Command(f"a-{number:010x}", f"r-{number:010x}", workload, change, "policy")
    intent = Intent(command, MONDAY + number * 7200, "1", {"replicas": 2}, {"replicas": 0})
    outcome = Outcome(command.id, MONDAY + number * 7200 + 5, status, None, "") if status else None
    return Action(intent, outcome, recommended(number, workload, "search", change, usd))


def blocked_by(namespace: str, name: str, reason: Reason, detail: str) -> Blocked:
    return Blocked(ref(namespace, "Deployment", name), "decide", reason, detail)


def team(name: str | None, workloads: int, cost: float, idle: float, saving: float) -> TeamCost:
    return TeamCost(name, workloads, cost / 3, idle / 3, cost, idle, saving)


def sample_report(*, hostile: str = "rlhf-sweep") -> WeeklyReport:
    first = ref("sandbox", "StatefulSet", hostile)
    recommendations = (
        recommended(1, first, None, ScaleTo(0), 40179.2),
        recommended(2, ref("robotics", "StatefulSet", "policy-distill"), "robotics",
                    Resize(GpuRequest("nvidia.com/gpu", 8), GpuRequest("nvidia.com/gpu", 1)), 35156.8),
        recommended(3, ref("vision", "Job", "video-diffusion"), "vision", MoveToSpot(), 20892.4),
        recommended(4, ref("search", "Deployment", "chat-7b-old"), "search", ScaleTo(0), 5022.4),
        recommended(5, ref("ads", "Deployment", "sentiment"), "ads",
                    Resize(GpuRequest("nvidia.com/gpu", 1), GpuRequest("nvidia.com/mig-1g.10gb", 1)), 2146.7),
        recommended(6, ref("vision", "Deployment", "image-gen-v2"), "vision", ScaleTo(0), 89.5),
    )  # fmt: skip
    blocked = (
        blocked_by("vision", "caption-demo", Reason.PROTECTED, "gpuwise.dev/do-not-disrupt is 'true'"),
        blocked_by("nlp", "summarise-v1", Reason.UNREADABLE_POLICY, "gpuwise.dev/do-not-disrupt is 'yes'"),
        blocked_by("nlp", "faq-bot", Reason.RECOMMEND_ONLY, "namespace nlp lets gpuwise recommend only"),
        blocked_by("ads", "meme-cls", Reason.RECOMMEND_ONLY, "namespace ads lets gpuwise recommend only"),
        *(blocked_by("nlp", f"job-{index}", Reason.BUSY, "busy") for index in range(40)),
    )
    days = tuple(
        FleetDay(MONDAY + index * DAY, 4700 + 90 * (index % 3), 1500 + 60 * index, 200.0, 1100 - 90 * (index % 3))
        for index in range(6)
    )
    teams = (
        team("nlp", 9, 61230.2, 1250.0, 0.0),
        team("vision", 17, 22930.0, 6040.1, 20981.9),
        team(None, 9, 14870.5, 13210.9, 40179.2),
        team("robotics", 8, 13420.0, 9100.0, 35156.8),
        team("search", 14, 7620.4, 3110.0, 5022.4),
        team("ads", 7, 4804.0, 1303.0, 2146.7),
    )
    return WeeklyReport(
        schema="gpuwise.dev/weekly-report/v1",
        week="2026-W47",
        start_s=MONDAY,
        end_s=MONDAY + 7 * DAY,
        generated_s=MONDAY + 6 * DAY,
        cluster="demo",
        bill=Bill(166e6, 101e6, 37e6, 4e6, 24e6, 168400.0, 112200.0, 37015.0, 3185.0, 16000.0, 0.0),
        days=days,
        teams=teams,
        workloads=(
            WorkloadCost(str(first), None, "H100-80GB", 1152.0, 1152.0, 0.0, 7925.8, 7925.8, Limit.UNKNOWN, 0.0, None),
            WorkloadCost(
                "robotics/Job/policy-distill",
                "robotics",
                "H100-80GB",
                1152.0,
                1008.0,
                0.04,
                7925.8,
                6935.0,
                Limit.UNKNOWN,
                0.0,
                None,
            ),
            WorkloadCost(
                "search/Deployment/odd-card", "search", None, 288.0, 288.0, None, None, None, Limit.UNKNOWN, 0.0, None
            ),
        ),
        recommendations=recommendations,
        blocked=blocked,
        actions=(
            action(11, ref("search", "Deployment", "legal-search"), OutcomeStatus.APPLIED, 1204.0),
            action(12, ref("vision", "Deployment", "cat-finder"), OutcomeStatus.UNDONE, 713.0),
            action(13, ref("search", "Deployment", "intent-v0"), None, 713.0),
        ),
        predicted_usd_month=sum(one.saving.usd_month for one in recommendations),
        realised_usd_month=1204.0,
        quality=DataQuality(118, 117, 0.974, 1, ("Only 6.0 of the week's 7 days were measured.",)),
        price_source="list prices shipped with gpuwise (AWS us-east-1, as of 2026-07-20)",
    )


@pytest.fixture
def report() -> WeeklyReport:
    return sample_report()


@pytest.fixture
def hostile_report() -> WeeklyReport:
    return sample_report(hostile="<script>alert(1)</script>|[x](http://evil)`rm -rf`\n# boo")
