from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fleet import NOW_S, inventory, pod, workload
from tests.series import WORKLOAD

from gpuwise.decide.decide import approve, decide
from gpuwise.decide.history import History, State
from gpuwise.decide.question import Situation
from gpuwise.decide.settings import DecideSettings
from gpuwise.model.changes import FreeNode, MoveToOnDemand, MoveToSpot, Resize, ScaleTo
from gpuwise.model.command import Budget, Command, Directive, Intent, Mode, Outcome, OutcomeStatus
from gpuwise.model.findings import Finding
from gpuwise.model.inventory import GpuRequest, Namespace, WorkloadRef
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked, Recommendation, Saving

ENFORCE = DecideSettings(mode=Mode.ENFORCE)


def recommendation(ref=WORKLOAD, usd=100.0, **changes) -> Recommendation:
    default = Recommendation(
        id=f"r-{ref.uid}",
        workload=ref,
        owner="search",
        finding=Finding.IDLE,
        reasons=(Reason.NO_ACTIVITY,),
        change=ScaleTo(0),
        saving=Saving(usd, usd, usd, 1.0),
        risk=0,
        confidence=1.0,
        coverage=1.0,
        evidence=(),
        restart_needed=True,
        rollback_possible=True,
        effort="Low",
        created_s=NOW_S - 60,
        expires_s=NOW_S + 86_400,
        etag="e1",
    )
    return replace(default, **changes)


def refs(count):
    return [WorkloadRef("research", "Deployment", f"chat-{i}", f"uid-{i}") for i in range(count)]


def intent(ref=WORKLOAD, at_s=NOW_S - 60, number=0) -> Intent:
    order = Command(f"a-{number}", "r-x", ref, ScaleTo(0), "policy")
    return Intent(order, at_s, "1", {"replicas": 1}, {"replicas": 0})


def outcome(number, status, at_s=NOW_S - 50) -> Outcome:
    return Outcome(f"a-{number}", at_s, status, None, "")


def blocked(item=None, subject=None, settings=ENFORCE, history=None, **fleet) -> Reason | None:
    """Why the recommendation is blocked, or None if it became a command."""
    subject = subject or workload()
    decision = decide(
        [item or recommendation()], Situation(inventory(subject, **fleet), history or History(), settings, NOW_S)
    )
    return decision.blocked[0].reason if decision.blocked else None


def test_enforce_makes_a_command_for_the_same_object():
    found = decide([recommendation()], Situation(inventory(workload()), History(), ENFORCE, NOW_S))
    assert [c.workload for c in found.commands] == [WORKLOAD]
    assert found.blocked == ()


MODES = [
    # workload, namespace, policy, reason
    (None, None, Mode.RECOMMEND, Reason.RECOMMEND_ONLY),
    (None, None, Mode.OFF, Reason.MODE_OFF),
    (None, "enforce", Mode.RECOMMEND, None),
    (None, "approve", Mode.ENFORCE, Reason.NEEDS_APPROVAL),
    ("recommend", "enforce", Mode.ENFORCE, Reason.RECOMMEND_ONLY),
    ("enforce", "off", Mode.OFF, None),
    ("Enforce", None, Mode.ENFORCE, Reason.UNREADABLE_POLICY),
    ("true", None, Mode.ENFORCE, Reason.UNREADABLE_POLICY),
    (None, "enfroce", Mode.ENFORCE, Reason.UNREADABLE_POLICY),
    ("", None, Mode.ENFORCE, Reason.UNREADABLE_POLICY),
]


@pytest.mark.parametrize(("own", "namespaces", "policy", "expected"), MODES)
def test_the_workloads_mode_overrides_the_namespaces_which_overrides_the_policys(own, namespaces, policy, expected):
    subject = workload(annotations={} if own is None else {"gpuwise.dev/mode": own})
    namespace = Namespace("research", {} if namespaces is None else {"gpuwise.dev/mode": namespaces}, {})
    assert blocked(subject=subject, namespaces=[namespace], settings=DecideSettings(mode=policy)) is expected


def test_if_label_and_annotation_differ_the_more_restrictive_one_applies():
    subject = workload(annotations={"gpuwise.dev/mode": "enforce"}, labels={"gpuwise.dev/mode": "recommend"})
    assert blocked(subject=subject) is Reason.RECOMMEND_ONLY


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("gpuwise.dev/do-not-disrupt", "true", Reason.PROTECTED),
        ("gpuwise.dev/do-not-disrupt", "True", Reason.UNREADABLE_POLICY),
        ("gpuwise.dev/do-not-disrupt", "", Reason.UNREADABLE_POLICY),
        ("karpenter.sh/do-not-disrupt", "true", Reason.PROTECTED),
        ("cluster-autoscaler.kubernetes.io/safe-to-evict", "false", Reason.PROTECTED),
        ("cluster-autoscaler.kubernetes.io/safe-to-evict", "no", Reason.UNREADABLE_POLICY),
        ("cluster-autoscaler.kubernetes.io/safe-to-evict", "true", None),
    ],
)
@pytest.mark.parametrize("place", ["workload", "pod", "namespace"])
def test_i11_protections_apply_on_workload_pod_and_namespace_and_invalid_values_protect(key, value, expected, place):
    annotation = {key: value}
    subject = workload(
        annotations=annotation if place == "workload" else {},
        pods=(pod(annotations=annotation if place == "pod" else {}),),
    )
    namespace = Namespace("research", {}, annotation if place == "namespace" else {})
    assert blocked(subject=subject, namespaces=[namespace]) is expected


@pytest.mark.parametrize("name", ["kube-system", "gpu-operator", "gpuwise"])
def test_i18_system_namespaces_are_never_changed(name):
    ref = replace(WORKLOAD, namespace=name)
    subject = workload(ref, annotations={"gpuwise.dev/mode": "enforce"})
    assert blocked(recommendation(ref), subject) is Reason.PROTECTED_NAMESPACE


def test_i23_a_workload_that_another_controller_owns_is_not_changed():
    assert blocked(subject=workload(managed_by=("HorizontalPodAutoscaler/chat",))) is Reason.MANAGED_BY_OTHER


def test_a_disruption_budget_of_zero_blocks():
    assert blocked(subject=workload(disruptions_allowed=0)) is Reason.BLOCKED_BY_PDB
    assert blocked(subject=workload(disruptions_allowed=1)) is None
    assert blocked(subject=workload(disruptions_allowed=None)) is None


def test_i9_a_recreated_target_is_gone():
    assert blocked(subject=workload(replace(WORKLOAD, uid="uid-2"))) is Reason.TARGET_GONE


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"risk": 2}, Reason.RISK_TOO_HIGH),
        ({"confidence": 0.4}, Reason.LOW_CONFIDENCE),
        ({"confidence": 0.5}, None),
        ({"expires_s": NOW_S}, Reason.STALE_INVENTORY),
    ],
)
def test_automation_needs_a_low_risk_enough_confidence_and_a_fresh_recommendation(changes, expected):
    assert blocked(recommendation(**changes)) is expected


def test_i4_an_old_inventory_blocks():
    assert blocked(taken_s=NOW_S - 301) is Reason.STALE_INVENTORY


def test_a_job_is_not_resized():
    ref = replace(WORKLOAD, kind="Job")
    change = Resize(GpuRequest("nvidia.com/gpu", 2), GpuRequest("nvidia.com/gpu", 1))
    assert blocked(recommendation(ref, change=change), workload(ref)) is Reason.KIND_NOT_SUPPORTED
    assert blocked(recommendation(ref, change=MoveToSpot()), workload(ref)) is Reason.KIND_NOT_SUPPORTED
    assert blocked(recommendation(ref), workload(ref)) is None


def test_a_target_changed_within_a_day_cools_down():
    assert blocked(history=History([intent(at_s=NOW_S - 3_600)])) is Reason.COOLING_DOWN
    assert blocked(history=History([intent(at_s=NOW_S - 86_400)])) is None


def test_a_change_that_a_deadline_needs_does_not_cool_down():
    changed = [intent(at_s=NOW_S - 3_600)]
    needed = recommendation(change=MoveToOnDemand())
    assert blocked(needed, history=History(changed, [outcome(0, OutcomeStatus.APPLIED)])) is None
    assert blocked(needed, history=History(changed, [outcome(0, OutcomeStatus.UNKNOWN)])) is Reason.COOLING_DOWN


@pytest.mark.parametrize(
    ("status", "expected"), [(OutcomeStatus.APPLIED, Reason.COOLING_DOWN), (OutcomeStatus.FAILED, None)]
)
def test_i14_a_move_that_took_place_and_that_somebody_took_back_cools_down(status, expected):
    """A GitOps tool that sets the fields again would otherwise be fought at each pass; what failed is tried again."""
    change = MoveToOnDemand()
    before = intent(at_s=NOW_S - 3_600)
    before = replace(before, command=replace(before.command, change=change))
    history = History([before], [outcome(0, status)])
    assert blocked(recommendation(change=change), history=history) is expected


@pytest.mark.parametrize("status", [OutcomeStatus.NOT_APPLIED, OutcomeStatus.FAILED])
def test_i15_two_failures_open_the_breaker(status):
    at_s = NOW_S - 86_400 + 60
    intents = [intent(at_s=at_s - 86_400, number=n) for n in range(2)]
    failed = [outcome(n, status, at_s) for n in range(2)]
    recovered = [*failed[:1], outcome(1, OutcomeStatus.APPLIED, at_s)]
    assert blocked(history=History(intents, failed)) is Reason.BREAKER_OPEN
    assert blocked(history=History(intents, recovered)) is None


def test_i15_a_step_of_a_nodes_action_is_no_attempt_of_its_own():
    """An eviction that waited for a disruption budget failed nothing, and what it did is no newer effect."""
    action = intent(number=0)
    steps = [replace(intent(number=number), step_of="a-0") for number in (1, 2)]
    outcomes = (outcome(0, OutcomeStatus.UNDONE), *(outcome(one, OutcomeStatus.NOT_APPLIED) for one in (1, 2)))
    history = History((action, *steps), outcomes)
    assert history.failures(WORKLOAD.uid) is None
    assert history.last_effect(WORKLOAD.uid) == action
    assert history.state("r-x") is State.ACTIVE


def test_the_breaker_closes_after_a_time_a_success_or_a_persons_attempt():
    failed = [outcome(n, OutcomeStatus.NOT_APPLIED, NOW_S - 86_400) for n in range(2)]
    intents = [intent(at_s=NOW_S - 2 * 86_400, number=n) for n in range(2)]
    assert blocked(history=History(intents, failed)) is None  # 24 h after the last
    late = [replace(one, at_s=NOW_S - 60) for one in failed]
    person = replace(intents[0], command=replace(intents[0].command, id="a-9", actor="ana"))
    assert blocked(history=History([*intents, person], [*late, outcome(9, OutcomeStatus.NOT_APPLIED)])) is None
    assert isinstance(apply(history=History(intents, late)), Command)  # the breaker does not block people


def test_only_effects_count():
    """An attempt that wrote nothing starts no cool-down and uses no budget; an attempt with unknown outcome does."""
    one_a_day = replace(ENFORCE, budget=Budget(1, 86_400))
    for status, expected in [
        (OutcomeStatus.NOT_APPLIED, None),
        (OutcomeStatus.FAILED, Reason.COOLING_DOWN),
        (OutcomeStatus.UNKNOWN, Reason.COOLING_DOWN),
        (OutcomeStatus.APPLIED, Reason.COOLING_DOWN),
        (None, Reason.COOLING_DOWN),
    ]:
        past = History([intent(at_s=NOW_S - 60)], [outcome(0, status)] if status else [])
        assert blocked(history=past) is expected
        elsewhere = History([intent(replace(WORKLOAD, uid="other"))], [outcome(0, status)] if status else [])
        assert blocked(settings=one_a_day, history=elsewhere) is (expected and Reason.BUDGET_EXHAUSTED)


def test_advice_for_people_does_not_block_an_alternative_for_automation():
    """A node that a person should drain does not keep automation from stopping the idle endpoint on it."""
    stop = recommendation(usd=50.0)
    node = WorkloadRef("", "Node", "gpu-1", "gpu-1")
    drain = recommendation(node, usd=500.0, change=FreeNode(()), claims=("gpu-1", WORKLOAD.uid))
    situation = Situation(inventory(workload()), History(), ENFORCE, NOW_S)
    found = decide([drain], situation, alternatives=[stop])
    assert [one.recommendation_id for one in found.commands] == [stop.id]
    assert [one.reason for one in found.blocked] == [Reason.KIND_NOT_SUPPORTED]


def test_a_command_that_the_enactor_refuses_uses_no_budget():
    subjects = [workload(ref) for ref in refs(3)]
    items = [recommendation(ref, usd=float(i)) for i, ref in enumerate(refs(3))]
    no = Blocked(items[2].workload, "enact", Reason.NO_RIGHT, "no grant", recommendation_id=items[2].id)
    settings = replace(ENFORCE, budget=Budget(1, 3_600))
    found = decide(items, Situation(inventory(*subjects), History(), settings, NOW_S, {items[2].id: no}))
    assert [one.workload.uid for one in found.commands] == ["uid-1"]
    assert replace(no, policy="enactor's checks") in found.blocked


def test_i26_a_pause_blocks_everything_until_resume():
    orders = [Directive("pause", "*", "ana", 1, "incident"), Directive("resume", "*", "ana", 2, "")]
    assert blocked(history=History(directives=orders[:1])) is Reason.PAUSED
    assert blocked(history=History(directives=orders)) is None


def test_a_dismissed_recommendation_stays_dismissed():
    order = Directive("dismiss", recommendation().id, "ana", 1, "needed for the launch")
    assert blocked(history=History(directives=[order])) is Reason.DISMISSED


@pytest.mark.parametrize(
    ("attempts", "orders", "state"),
    [
        ([], [], State.ACTIVE),
        ([None], [], State.CLAIMED),
        ([OutcomeStatus.APPLIED], [], State.SUCCEEDED),
        ([OutcomeStatus.FAILED], [], State.FAILED),
        ([OutcomeStatus.NOT_APPLIED], [], State.FAILED),
        ([OutcomeStatus.FAILED, OutcomeStatus.APPLIED], [], State.SUCCEEDED),
        ([OutcomeStatus.APPLIED, None], [], State.CLAIMED),
        ([OutcomeStatus.UNDONE], [], State.ACTIVE),
        ([OutcomeStatus.FAILED], ["dismiss"], State.DISMISSED),
    ],
)
def test_the_state_of_a_recommendation_follows_its_latest_outcome(attempts, orders, state):
    intents = [intent(number=number) for number in range(len(attempts))]
    outcomes = [outcome(number, status) for number, status in enumerate(attempts) if status is not None]
    past = History(intents, outcomes, [Directive(kind, "r-x", "ana", 1, "") for kind in orders])
    assert past.state("r-x") is state
    assert past.state("r-other") is State.ACTIVE


def many(count, settings, history=None):
    subjects = [workload(ref) for ref in refs(count)]
    items = [recommendation(ref, usd=float(i)) for i, ref in enumerate(refs(count))]
    fleet = inventory(*subjects, *(workload(replace(WORKLOAD, uid=f"other-{i}")) for i in range(count)))
    return decide(items, Situation(fleet, history or History(), settings, NOW_S))


@given(st.integers(0, 5), st.lists(st.integers(0, 7_200), max_size=8))
def test_i5_the_window_never_has_more_disruptions_than_the_budget(limit, ages):
    old = replace(WORKLOAD, uid="uid-past")
    past = History(sorted((intent(old, NOW_S - a, n) for n, a in enumerate(ages)), key=lambda i: i.at_s))
    found = many(5, replace(ENFORCE, budget=Budget(limit, 3_600)), past)
    spent = sum(1 for age in ages if age < 3_600)
    assert len(found.commands) == min(5, max(0, limit - spent))
    assert len(found.commands) + len(found.blocked) == 5


def test_the_budget_goes_to_the_largest_savings_first():
    found = many(5, replace(ENFORCE, budget=Budget(2, 3_600)))
    assert [c.workload.uid for c in found.commands] == ["uid-4", "uid-3"]
    assert {h.reason for h in found.blocked} == {Reason.BUDGET_EXHAUSTED}


def test_i16_the_brake_stops_a_run_that_would_change_half_the_fleet():
    found = many(8, replace(ENFORCE, brake_share=0.4, budget=Budget(100, 3_600)))
    assert found.commands == ()
    assert {h.reason for h in found.blocked} == {Reason.BRAKE_ENGAGED}


@pytest.mark.parametrize(("share", "engaged"), [(0.75, False), (0.74, True)])
def test_i16_the_brake_engages_above_its_share_and_not_at_it(share, engaged):
    """6 of 8 workloads would change, which is 0.75."""
    settings = replace(ENFORCE, brake_share=share, budget=Budget(100, 3_600))
    fleet = [workload(ref=ref) for ref in refs(8)]
    found = decide(
        [recommendation(id=f"r-{i}", workload=ref) for i, ref in enumerate(refs(6))],
        Situation(inventory(*fleet), History(), settings, NOW_S),
    )
    assert (found.commands == ()) is engaged


def apply(item=None, settings=None, history=None):
    return approve(
        item or recommendation(), history or History(), settings or DecideSettings(), actor="ana", now_s=NOW_S
    )


def test_a_persons_apply_is_the_consent_that_mode_recommend_requires():
    found = apply(recommendation(risk=3, confidence=0.1))
    assert isinstance(found, Command)
    assert found.actor == "ana"


def test_a_persons_apply_does_not_bypass_the_safety_gates():
    """The target's protections are checked just before the effect: tests/enact."""
    for item, history in [
        (recommendation(), History(directives=[Directive("pause", "*", "bo", 1, "")])),
        (recommendation(), History(directives=[Directive("dismiss", recommendation().id, "bo", 1, "")])),
        (recommendation(expires_s=NOW_S), None),
        (recommendation(replace(WORKLOAD, namespace="kube-system")), None),
        (recommendation(replace(WORKLOAD, kind="Pod")), None),
    ]:
        assert isinstance(apply(item, history=history), Blocked)
