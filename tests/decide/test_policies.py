"""The policies that the settings describe: calendar, budgets by scope, approvals, rules, residency, hysteresis."""

import dataclasses
import itertools
import re
from dataclasses import replace
from datetime import UTC, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.decide.test_decide import ENFORCE, blocked, intent, many, outcome, recommendation, refs
from tests.fleet import NOW_S, inventory, node, pod, workload
from tests.series import WORKLOAD

from gpuwise.config import load
from gpuwise.decide import calendar
from gpuwise.decide.calendar import MaintenanceWindow
from gpuwise.decide.decide import approve, decide
from gpuwise.decide.history import History, State
from gpuwise.decide.policies import AFTERWARDS, POLICIES
from gpuwise.decide.question import Situation
from gpuwise.decide.settings import Approvals, DecideSettings, Rule, ScopeBudget
from gpuwise.model.changes import MoveToOnDemand, MoveToSpot
from gpuwise.model.command import Budget, Command, Directive, Limit, Mode, OutcomeStatus
from gpuwise.model.errors import InputError
from gpuwise.model.inventory import CapacityType
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked


def policy(tmp_path, text) -> DecideSettings:
    file = tmp_path / "gpuwise.yaml"
    file.write_text(text)
    return load(file, {}, {}).policy


def at(text) -> int:
    return int(datetime.fromisoformat(text).timestamp())


WINDOW = """
policy:
  mode: enforce
  windows:
    - {days: [mon, fri], start: "22:00", end: "06:00", zone: Europe/Berlin}
"""


@pytest.mark.parametrize(
    ("now", "is_open"),
    [
        ("2026-06-01T22:00:00+02:00", True),  # a Monday
        ("2026-06-01T21:59:59+02:00", False),
        ("2026-06-02T05:59:59+02:00", True),
        ("2026-06-02T06:00:00+02:00", False),
        ("2026-06-02T22:00:00+02:00", False),
        ("2026-06-06T03:00:00+02:00", True),  # opened on Friday
        ("2026-06-07T03:00:00+02:00", False),
        ("2026-10-24T01:30:00+00:00", True),  # 03:30 in summer
    ],
)
def test_a_window_crosses_midnight_in_its_time_zone(tmp_path, now, is_open):
    [window] = policy(tmp_path, WINDOW).windows
    assert window.is_open(at(now)) is is_open


def test_a_window_lasts_through_the_hour_that_autumn_repeats(tmp_path):
    text = WINDOW.replace("[mon, fri]", "[sun]").replace("22:00", "02:00").replace("06:00", "03:00")
    [window] = policy(tmp_path, text).windows
    # 25 October 2026: from 02:00 summer time (00:00 UTC) to 03:00 winter time (02:00 UTC).
    open_at = [minute for minute in range(0, 180, 30) if window.is_open(at("2026-10-25T00:00:00+00:00") + minute * 60)]
    assert open_at == [0, 30, 60, 90]


@given(st.integers(0, 7 * 24 * 60 - 1))
def test_a_window_without_days_is_open_as_long_every_day(minute):
    window = MaintenanceWindow(time(23), time(1), ZoneInfo("UTC"))
    now_s = at("2026-06-01T00:00:00+00:00") + 60 * minute
    hour = datetime.fromtimestamp(now_s, UTC).hour
    assert window.is_open(now_s) is (hour in (23, 0))


def test_outside_the_windows_automation_waits_and_people_do_not(tmp_path):
    settings = policy(tmp_path, WINDOW)
    noon = at("2026-06-01T12:00:00+02:00")
    fleet, item = inventory(workload(), taken_s=noon), recommendation(expires_s=noon + 60)
    found = decide([item], Situation(fleet, History(), settings, noon))
    assert [one.reason for one in found.blocked] == [Reason.OUTSIDE_WINDOW]
    assert "mon, fri 22:00 to 06:00 Europe/Berlin" in found.blocked[0].detail
    assert isinstance(approve(item, History(), settings, actor="ana", now_s=noon), Command)


FREEZE = """
policy:
  mode: enforce
  freezes:
    - {first: 2026-12-20, last: 2027-01-06, zone: America/New_York, reason: end of year, namespaces: [research]}
"""


@pytest.mark.parametrize(
    ("now", "frozen"),
    [
        ("2026-12-20T04:59:00+00:00", False),
        ("2026-12-20T05:00:00+00:00", True),
        ("2027-01-07T04:59:00+00:00", True),
        ("2027-01-07T05:00:00+00:00", False),
    ],
)
def test_a_freeze_stops_automation_and_people_on_its_days(tmp_path, now, frozen):
    settings, now_s = policy(tmp_path, FREEZE), at(now)
    item = recommendation(expires_s=now_s + 60)
    found = decide([item], Situation(inventory(workload(), taken_s=now_s), History(), settings, now_s))
    assert [one.reason for one in found.blocked] == ([Reason.FROZEN] if frozen else [])
    by_person = approve(item, History(), settings, actor="ana", now_s=now_s)
    assert isinstance(by_person, Blocked) is frozen
    elsewhere = recommendation(replace(WORKLOAD, namespace="search"), expires_s=now_s + 60)
    assert isinstance(approve(elsewhere, History(), settings, actor="ana", now_s=now_s), Command)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('windows: [{start: "22:00", end: "25:00", zone: UTC}]', "policy.windows"),
        ('windows: [{start: "22:00", end: "23:00", zone: Europe/Berln}]', "zone"),
        ('windows: [{start: "22:00", end: "23:00", zone: UTC, days: [monday]}]', "policy.windows"),
        ("freezes: [{first: 2026-12-20, zone: UTC, reason: x}]", "policy.freezes"),
        ("rules: [{name: one, forbid_if: 'recommendation.risk >'}]", "CEL"),
        ("budgets: {team/search: {disruptions: 1}}", "a scope is one of"),
        ("budgets: {namespace/search: {per_s: 60}}", "disruptions"),
        ("approvals: {persons: 0}", "policy.approvals.persons"),
        # YAML 1.1 reads this as the number 1320, which pydantic would take for 00:22.
        ('windows: [{start: 22:00, end: "23:00", zone: UTC}]', "write the time in quotes"),
        ('windows: [{start: "22:00Z", end: "23:00", zone: UTC}]', "write the time in quotes"),
        ('windows: [{start: "22:00", end: "23:00", zone: UTC, day: [mon]}]', "unknown key policy.windows.0.day"),
        ("rules: [{name: one, forbid_if: 'true', peple: true}]", "unknown key policy.rules.0.peple"),
        ("budgets: {namespace/search: {disruptions: 1, per: 60}}", "unknown key policy.budgets.namespace/search.per"),
        ("freezes: [{first: 2026-12-20, last: 2026-01-06, zone: UTC, reason: x}]", "is before its first day"),
        ("budget: {disruptions: 1, per_s: 0}", "policy.budget.per_s"),  # would never be used up
        ("brake_share: .nan", "policy.brake_share"),
        ("min_confidence: 50", "policy.min_confidence"),
    ],
)
def test_a_mistake_in_the_policy_is_an_error_that_names_it(tmp_path, text, problem):
    with pytest.raises(InputError, match=problem):
        policy(tmp_path, f"policy:\n  {text}\n")


def test_incident_karpenter_provider_aws_7026_a_scope_without_a_budget_has_none():
    """One namespace has a budget, so the others have 0; without any budget of namespaces only the fleet's counts."""
    fleet = [workload(ref=replace(WORKLOAD, namespace=name, uid=name)) for name in ("research", "search", "chat")]
    items = [recommendation(one.ref) for one in fleet]

    def changed(budgets):
        settings = replace(ENFORCE, budgets=budgets)
        found = decide(items, Situation(inventory(*fleet), History(), settings, NOW_S))
        return sorted(one.workload.namespace for one in found.commands)

    assert changed({}) == ["chat", "research", "search"]
    assert changed({"namespace/search": ScopeBudget(5)}) == ["search"]
    assert changed({"namespace/search": ScopeBudget(5), "namespace/*": ScopeBudget(1)}) == [
        "chat",
        "research",
        "search",
    ]
    assert (
        changed({"owner/search": ScopeBudget(2)}) == ["chat", "research"]
        or len(changed({"owner/search": ScopeBudget(2)})) == 2
    )


def test_each_scope_has_a_window_of_its_own():
    settings = replace(ENFORCE, budget=Budget(100), budgets={"namespace/*": ScopeBudget(2, 86_400)})
    assert len(many(5, settings).commands) == 2
    earlier = replace(intent(replace(WORKLOAD, uid="other"), NOW_S - 80_000), scopes=("fleet", "namespace/research"))
    assert len(many(5, settings, History([earlier])).commands) == 1
    elsewhere = replace(earlier, scopes=("fleet", "namespace/search"))
    assert len(many(5, settings, History([elsewhere])).commands) == 2
    unknown = replace(earlier, scopes=None)  # of an earlier version: it counts everywhere
    assert len(many(5, settings, History([unknown])).commands) == 1


def test_the_budget_of_a_node_pool_is_used_by_pods_on_its_nodes():
    settings = replace(ENFORCE, budgets={"pool/h100": ScopeBudget(1)})
    fleet = inventory(
        *(workload(ref, pods=(pod(on=f"n{i}"),)) for i, ref in enumerate(refs(3))),
        nodes=[replace(node(f"n{i}"), marks={"karpenter.sh/nodepool": ["h100", "h100", "l4"][i]}) for i in range(3)],
    )
    items = [recommendation(ref, usd=10.0 - i) for i, ref in enumerate(refs(3))]
    found = decide(items, Situation(fleet, History(), settings, NOW_S))
    assert [one.workload.uid for one in found.commands] == ["uid-0"]
    assert Limit("pool/h100", 1, 3_600) in found.commands[0].limits
    assert {one.detail for one in found.blocked} == {
        "the budget of 1 disruptions of pool/h100 in 3600 s is used up",
        "the budget of 0 disruptions of pool/l4 in 3600 s is used up",
    }


APPROVE = DecideSettings(mode=Mode.APPROVE)


def approved(*actors, at_s=NOW_S - 60):
    return History(directives=[Directive("approve", recommendation().id, one, at_s, "") for one in actors])


def test_in_mode_approve_automation_acts_after_an_approval():
    assert blocked(settings=APPROVE) is Reason.NEEDS_APPROVAL
    assert blocked(settings=APPROVE, history=approved("ana")) is None
    assert blocked(settings=APPROVE, history=approved("ana", at_s=NOW_S - 72 * 3_600)) is Reason.NEEDS_APPROVAL
    assert blocked(settings=DecideSettings(), history=approved("ana")) is Reason.RECOMMEND_ONLY


@pytest.mark.parametrize("limit", [{"above_gpus": 1}, {"above_usd_month": 99.0}])
def test_a_large_change_needs_two_different_people(limit):
    settings = replace(ENFORCE, approvals=Approvals(**limit))
    large = workload(replicas=2)
    assert blocked(subject=large, settings=settings) is Reason.NEEDS_SECOND_PERSON
    assert blocked(subject=large, settings=settings, history=approved("ana")) is Reason.NEEDS_SECOND_PERSON
    assert blocked(subject=large, settings=settings, history=approved("ana", "ana")) is Reason.NEEDS_SECOND_PERSON
    assert blocked(subject=large, settings=settings, history=approved("ana", "bo")) is None


def test_the_person_who_applies_a_large_change_is_one_of_the_two():
    settings = replace(ENFORCE, approvals=Approvals(above_usd_month=99.0))
    found = approve(recommendation(), approved("ana"), settings, actor="ana", now_s=NOW_S)
    assert isinstance(found, Blocked)
    assert found.reason is Reason.NEEDS_SECOND_PERSON
    assert isinstance(approve(recommendation(), approved("ana"), settings, actor="bo", now_s=NOW_S), Command)


def test_only_people_whom_the_cluster_authenticated_count_if_the_policy_says_so():
    """The name of an operating system's user can be chosen: one person must not be two."""
    settings = replace(ENFORCE, approvals=Approvals(above_usd_month=99.0, authenticated=True))

    def by(*people):
        orders = [
            Directive("approve", recommendation().id, name, NOW_S - 60, "", authenticated=ok) for name, ok in people
        ]
        return History(directives=orders)

    assert blocked(settings=settings, history=by(("ana", True), ("bo", True))) is None
    assert blocked(settings=settings, history=by(("ana", True), ("bo", False))) is Reason.NEEDS_SECOND_PERSON
    for authenticated in (True, False):
        found = approve(
            recommendation(), by(("ana", True)), settings, actor="bo", now_s=NOW_S, authenticated=authenticated
        )
        assert isinstance(found, Command) is authenticated


def test_what_is_affected_and_not_known_is_large():
    settings = replace(ENFORCE, approvals=Approvals(above_gpus=1_000))
    assert blocked(subject=workload(replicas=None), settings=settings) is Reason.NEEDS_SECOND_PERSON
    assert blocked(subject=workload(replicas=2), settings=settings) is None


def test_an_approval_is_for_one_attempt():
    """After an undo the same recommendation waits for a new approval, however long an approval is valid."""
    settings = replace(APPROVE, approvals=Approvals(valid_h=1_000), hysteresis_h=0)
    done = intent(WORKLOAD, NOW_S - 100 * 3_600)
    done = replace(done, command=replace(done.command, recommendation_id=recommendation().id))
    undone = outcome(0, OutcomeStatus.UNDONE, NOW_S - 99 * 3_600)
    history = replace(approved("ana", at_s=NOW_S - 101 * 3_600), intents=[done], outcomes=[undone])
    assert blocked(settings=settings, history=history) is Reason.NEEDS_APPROVAL
    again = replace(history, directives=[*history.directives, *approved("bo").directives])
    assert blocked(settings=settings, history=again) is None


def test_mode_off_needs_no_quotes(tmp_path):
    assert policy(tmp_path, "policy: {mode: off}\n").mode is Mode.OFF


def test_a_rule_that_is_nested_too_deeply_forbids():
    assert blocked(settings=rule(f"{'(' * 300}false{')' * 300}")) is Reason.RULE_FORBIDS


def test_each_blocked_recommendation_names_its_policy():
    found = many(3, replace(ENFORCE, budget=Budget(1)))
    assert {one.policy for one in found.blocked} == {"budgets"}
    held = decide([recommendation()], Situation(inventory(workload()), History(), DecideSettings(), NOW_S))
    assert [one.policy for one in held.blocked] == ["mode"]


def rule(text, **more):
    return replace(ENFORCE, rules=(Rule("one", text, **more),))


@pytest.mark.parametrize(
    ("text", "forbidden"),
    [
        ('recommendation.finding == "Idle" && recommendation.saving_usd_month < 200.0', True),
        ('workload.labels["tier"] == "gold"', True),  # no such label: it cannot be evaluated
        ('has(workload.labels.tier) && workload.labels.tier == "gold"', False),
        ('recommendation.change.kind == "ScaleTo" && recommendation.change.replicas == 0', True),
        ('workload.namespace.startsWith("prod-")', False),
        ("recommendation.risk + 1", True),  # not a truth value
        ("by != 'automation'", False),
        ("now.getFullYear() == 1970", True),
        ("unknown_name", True),
    ],
)
def test_i11_a_rule_forbids_if_it_is_true_or_cannot_be_evaluated(text, forbidden):
    assert blocked(settings=rule(text)) is (Reason.RULE_FORBIDS if forbidden else None)


def test_a_rule_stops_people_only_if_it_says_so():
    for people in (False, True):
        found = approve(recommendation(), History(), rule("true", people=people), actor="ana", now_s=NOW_S)
        assert isinstance(found, Blocked) is people


@pytest.mark.parametrize(
    ("text", "forbidden"),
    [
        ("has(workload.labels.gold)", True),
        ("!has(workload.labels.gold)", True),
        ("has(workload.labels) && has(workload.labels.gold)", False),
        ("has(workload.name)", True),
        ("has(workload.nope)", False),
        ("nodes.exists(n, has(n.labels.gold))", False),
    ],
)
def test_i11_a_rule_about_labels_forbids_where_they_are_not_known(text, forbidden):
    """`gpuwise apply` does not know the labels; the library's has() was false then, and the rule allowed it."""
    found = approve(recommendation(), History(), rule(text, people=True), actor="ana", now_s=NOW_S)
    assert isinstance(found, Blocked) is forbidden


def test_a_rule_that_cannot_be_evaluated_names_the_value():
    found = blocked_detail('now.getHours("Nowhere/City") > 3')
    assert found.startswith("rule one cannot be evaluated, so it forbids: Unparsable timezone: ")
    assert "Nowhere/City" in found
    assert blocked_detail("workload").endswith("its result is of type map, which is neither true nor false")


def blocked_detail(text: str) -> str:
    situation = Situation(inventory(workload()), History(), rule(text), NOW_S)
    return decide([recommendation()], situation).blocked[0].detail


def test_a_rules_message_is_shown_and_not_the_variables_of_the_library():
    found = decide([recommendation()], Situation(inventory(workload()), History(), rule("mode == 1"), NOW_S))
    assert found.blocked[0].detail == "rule one cannot be evaluated, so it forbids: undeclared reference to 'mode'"


def test_the_minimum_saving_is_for_automation_and_not_for_deadlines():
    settings = replace(ENFORCE, min_saving_usd_month=100.01)
    assert blocked(settings=settings) is Reason.SAVING_TOO_SMALL
    assert blocked(settings=replace(settings, min_saving_usd_month=100.0)) is None
    assert blocked(recommendation(usd=-5.0, change=MoveToOnDemand()), settings=settings) is None


@pytest.mark.parametrize("status", [OutcomeStatus.UNDONE, OutcomeStatus.REVERTED])
def test_i14_what_was_taken_back_is_left_to_people_for_a_week(status):
    taken_back = NOW_S - 6 * 86_400
    past = History([intent(at_s=taken_back - 60)], [outcome(0, status, at_s=taken_back)])
    assert blocked(history=past) is Reason.TAKEN_BACK
    assert blocked(history=past, settings=replace(ENFORCE, hysteresis_h=144)) is None
    assert isinstance(approve(recommendation(), past, ENFORCE, actor="ana", now_s=NOW_S), Command)


def test_i14_a_step_that_was_applied_does_not_hide_that_its_action_was_taken_back():
    action, step = intent(at_s=NOW_S - 86_400), replace(intent(at_s=NOW_S - 86_000, number=1), step_of="a-0")
    found = [outcome(1, OutcomeStatus.APPLIED), outcome(0, OutcomeStatus.REVERTED, at_s=NOW_S - 80_000)]
    past = History([action, step], found)
    assert blocked(history=past) is Reason.TAKEN_BACK
    assert past.state("r-x") is State.FAILED


def test_i14_a_person_who_undoes_a_move_to_on_demand_is_not_overruled_by_the_next_pass():
    needed = recommendation(change=MoveToOnDemand())
    earlier = intent(at_s=NOW_S - 600)
    undone = [outcome(0, OutcomeStatus.UNDONE, at_s=NOW_S - 300)]
    same = replace(earlier, command=replace(earlier.command, change=MoveToOnDemand()))
    assert blocked(needed, history=History([same], undone)) is Reason.TAKEN_BACK
    assert blocked(needed, history=History([earlier], undone)) is None  # another change was undone


@given(st.lists(st.integers(1, 60), min_size=1, max_size=40), st.integers(1, 48), st.integers(0, 96))
def test_i14_incident_karpenter_provider_aws_3921_a_square_wave_makes_at_most_one_change_per_cool_down(
    halves, cool_down_h, hysteresis_h
):
    """A load that comes and goes, and a person takes back each change: no A-B-A within the cool-down."""
    settings = replace(ENFORCE, cool_down_h=cool_down_h, hysteresis_h=hysteresis_h)
    now_s, intents, outcomes = NOW_S, [], []
    for number, hours in enumerate(halves):
        now_s += hours * 3_600
        fleet = inventory(workload(), taken_s=now_s)
        item = recommendation(created_s=now_s, expires_s=now_s + 60)
        found = decide([item], Situation(fleet, History(intents, outcomes), settings, now_s))
        if found.commands:
            intents.append(intent(at_s=now_s, number=number))
            outcomes.append(outcome(number, OutcomeStatus.UNDONE, at_s=now_s + 1_800))
    gaps = [later.at_s - earlier.at_s for earlier, later in itertools.pairwise(intents)]
    assert all(gap >= max(cool_down_h, hysteresis_h) * 3_600 for gap in gaps)


def test_data_that_may_not_leave_a_region_stays_in_it():
    spot = [
        replace(node("s-eu"), capacity_type=CapacityType.SPOT, region="eu-west-1", zone="a"),
        replace(node("s-us"), capacity_type=CapacityType.SPOT, region="us-east-1", zone="b"),
    ]
    here = replace(node("n1"), region="eu-west-1")
    subject = workload(annotations={"gpuwise.dev/data-class": "voices"}, pods=(pod(on="n1"),))
    item = recommendation(change=MoveToSpot(zone="a"))

    def reason(nodes, regions):
        situation = Situation(inventory(subject, nodes=nodes), History(), ENFORCE, NOW_S, regions=regions)
        return [one.reason for one in decide([item], situation).blocked]

    only_eu = {"voices": ("eu-west-1",)}
    assert reason([here, *spot], only_eu) == [Reason.REGION_FORBIDDEN]
    assert reason([here, spot[0]], only_eu) == []
    assert reason([here, *spot], {"voices": ("eu-west-1", "us-east-1")}) == []
    assert reason([here, spot[0]], {}) == [Reason.REGION_FORBIDDEN]  # a class without regions allows none


def test_every_setting_of_the_policy_belongs_to_a_policy():
    of_fleet = {name for one in AFTERWARDS for name in one.settings} | {"required_labels"}  # of `policy check`
    named = {name for one in POLICIES for name in one.settings}
    assert named | of_fleet == {one.name for one in dataclasses.fields(DecideSettings)}


def test_the_calendar_does_not_read_the_clock():
    names = set(re.findall(r"\.\w+", Path(calendar.__file__).read_text()))
    assert not names & {".now", ".today", ".utcnow"}
    assert ".fromtimestamp" in names
