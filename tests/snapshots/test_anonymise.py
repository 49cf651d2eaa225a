"""An anonymised snapshot has no name of the fleet, and leads to the same decisions."""

import re
from dataclasses import replace
from datetime import date
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.decide.test_decide import intent, outcome, recommendation
from tests.fleet import NOW_S, inventory, node, pod, workload

from gpuwise.decide.calendar import Freeze
from gpuwise.decide.settings import DecideSettings, Rule, ScopeBudget
from gpuwise.model.changes import FreeNode
from gpuwise.model.codec import to_json
from gpuwise.model.command import Budget, Directive, Mode, OutcomeStatus
from gpuwise.model.inventory import Namespace, WorkloadRef
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked, Evidence
from gpuwise.model.scheduling import Openness, Requirement, Scheduling, Taint, Toleration
from gpuwise.snapshots.anonymise import anonymised, anonymised_policy, inexact, unmatched
from gpuwise.snapshots.snapshot import VERSION, Snapshot, decide_on

KEY = b"k" * 32
SECRETS = (
    *(
        "acme",
        "zeus",
        "hera",
        "apollo",
        "hermes",
        "athena",
        "artemis",
        "poseidon",
        "demeter",
        "kronos",
        "ares",
        "dionysos",
    ),
    *("gaia", "nyx", "eos", "pan", "iris", "leto", "rhea", "styx"),
)
"""Texts that appear in the names of the fleet below, and nowhere else."""


def ref(number: int) -> WorkloadRef:
    return WorkloadRef("zeus-prod", "Deployment", f"hera-{number}", f"apollo-uid-{number}")


def fleet():
    marks = {
        "kubernetes.io/hostname": "hermes-0",
        "karpenter.sh/nodepool": "athena-pool",
        "acme.com/rack": "artemis",
        "nvidia.com/gpu.present": "true",
    }
    requirement = Requirement("acme.com/rack", "In", ("artemis",))
    scheduling = Scheduling(((requirement,),), (Toleration("acme.com/taint", "Equal", "poseidon", "NoSchedule"),))
    one = replace(
        node("hermes-0"),
        marks=marks,
        openness=Openness(labels=marks, taints=(Taint("acme.com/taint", "poseidon", "NoSchedule"),)),
    )
    made = [
        workload(
            ref(number),
            pods=(replace(pod(f"hera-{number}-pod", on="hermes-0"), scheduling=scheduling),),
            labels={"team": "demeter", "acme.com/cost": "kronos", "tier": "ares"},
            annotations={"kubectl.kubernetes.io/last-applied-configuration": '{"metadata": {"name": "hera"}}'},
            managed_by=("HorizontalPodAutoscaler/dionysos",) if number == 3 else (),
        )
        for number in range(6)
    ]
    protected = Namespace("zeus-prod", {"acme.com/owner": "demeter"}, {})
    return inventory(*made, nodes=[one], namespaces=[protected])


POLICY = DecideSettings(
    mode=Mode.ENFORCE,
    budget=Budget(50),
    budgets={"pool/athena-pool": ScopeBudget(3), "owner/demeter": ScopeBudget(9), "namespace/*": ScopeBudget(9)},
    protections={"acme.com/cost": "gaia"},
    freezes=(Freeze(date(2026, 1, 1), date(2026, 1, 2), ZoneInfo("UTC"), "launch of nyx", ("eos-prod",)),),
    rules=(
        Rule("pan", 'workload.name == "hera-1" || workload.labels["acme.com/cost"] == "leto"', "ask iris"),
        Rule("by owner", 'recommendation.owner == "rhea" && recommendation.finding == "Idle"'),
    ),
    protected_namespaces=("styx",),
)


def snapshot(settings: DecideSettings = POLICY) -> Snapshot:
    evidence = Evidence("hera-2 fits on hermes-0", None, "max", 1.0, None, "ratio", query='power{pod="hera-2-pod"}')
    items = tuple(
        recommendation(ref(number), owner="demeter", evidence=(evidence,), claims=(ref(number).uid,))
        for number in range(6)
    )
    moved = FreeNode((("zeus-prod/Deployment/hera-0", "hera-0-pod", "hermes-0"),))
    item = recommendation(WorkloadRef("", "Node", "hermes-0", "hermes-0"), change=moved, owner="demeter")
    return Snapshot(
        version=VERSION,
        made_by="0",
        anonymised=False,
        now_s=NOW_S,
        cluster="zeus-cluster",
        prices="price file acme.csv (version 12ab)",
        settings=settings,
        regions={"eos": ("eu-west-1",)},
        inventory=fleet(),
        recommendations=(*items, item),
        intents=(intent(ref(4), NOW_S - 900),),
        outcomes=(replace(outcome(0, OutcomeStatus.APPLIED), detail="scaled hera-4"),),
        directives=(Directive("dismiss", items[5].id, "iris", NOW_S - 60, "leto said so", cluster="gaia"),),
        checks=(Blocked(ref(2), "enact", Reason.NO_RIGHT, "may not patch hera-2", recommendation_id=items[2].id),),
    )


def verdicts(found: Snapshot, settings: DecideSettings | None = None):
    """The decisions without names, in the order of the recommendations."""
    decision = decide_on(found, settings or found.settings)
    by_id = {one.recommendation_id: (one.reason, one.policy) for one in decision.blocked}
    by_id |= {one.recommendation_id: ("planned", one.change, len(one.limits)) for one in decision.commands}
    return [by_id[item.id] if item.change.kind != "FreeNode" else None for item in found.recommendations]


def test_no_name_is_left():
    text = to_json(anonymised(snapshot(), KEY))
    assert all(name in to_json(snapshot()) for name in SECRETS)
    assert [name for name in SECRETS if re.search(rf"\b{name}\b", text)] == []
    assert "price file" not in text


def test_the_decisions_are_the_same():
    made = snapshot()
    expected = verdicts(made)
    assert verdicts(anonymised(made, KEY)) == expected
    assert {one[0] for one in expected if one} >= {
        "planned",
        Reason.RULE_FORBIDS,
        Reason.NO_RIGHT,
        Reason.MANAGED_BY_OTHER,
        Reason.COOLING_DOWN,
        Reason.DISMISSED,
    }


@given(st.binary(min_size=32, max_size=32))
def test_the_decisions_do_not_depend_on_the_key(key):
    tight = replace(POLICY, budget=Budget(1))  # of equal savings, the first id gets the budget
    assert verdicts(anonymised(snapshot(tight), key)) == verdicts(snapshot(tight))


def test_one_key_gives_the_same_pseudonyms_and_a_policy_that_matches():
    assert to_json(anonymised(snapshot(), KEY)) == to_json(anonymised(snapshot(), KEY))
    assert to_json(anonymised(snapshot(), KEY)) != to_json(anonymised(snapshot(), b"l" * 32))
    other = replace(POLICY, protected_namespaces=("zeus-prod",))
    found = verdicts(anonymised(snapshot(), KEY), anonymised_policy(other, KEY))
    assert found == verdicts(snapshot(), other)
    assert found != verdicts(anonymised(snapshot(), KEY), other)


def test_what_cannot_match_is_named():
    assert unmatched(POLICY) == (
        "protected_namespaces styx",
        "budgets pool/athena-pool",
        "budgets owner/demeter",
        "freezes in eos-prod",
        "rule pan",
        "rule by owner",
    )
    assert unmatched(DecideSettings(rules=(Rule("risk", 'recommendation.finding == "Idle"'),))) == ()
    assert inexact(DecideSettings(rules=(Rule("prod", 'workload.namespace.startsWith("prod-")'),))) == ("prod",)


@pytest.mark.parametrize("mode", ["enforce", "enfroce"])
def test_a_mode_keeps_its_meaning(mode):
    made = snapshot(DecideSettings())
    marked = {"zeus-prod": Namespace("zeus-prod", {"gpuwise.dev/mode": mode}, {})}
    made = replace(made, inventory=replace(made.inventory, namespaces=marked))
    assert verdicts(anonymised(made, KEY)) == verdicts(made)
    assert ("enfroce" in to_json(anonymised(made, KEY))) is False
