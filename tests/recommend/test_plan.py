"""The plan: one change per workload, stable ids, and savings within the bill."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.cases import MIG_NODE, WEEK, case
from tests.fleet import NOW_S, PRICES, inventory, node, workload
from tests.scored import profile
from tests.series import BUSY_VALUES, device, usage

from gpuwise.finops.notes import failures_of
from gpuwise.model.findings import Finding
from gpuwise.model.inventory import CapacityType
from gpuwise.model.labels import CHECKPOINTED
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Recommendation
from gpuwise.model.signal import Signal
from gpuwise.recommend import plan as plan_module
from gpuwise.recommend.fleet import Fleet
from gpuwise.recommend.methods.idle import idle_shutdown
from gpuwise.recommend.methods.node_underutilised import free_nodes
from gpuwise.recommend.plan import METHODS, recommend
from gpuwise.recommend.settings import RecommendSettings
from gpuwise.score.settings import ScoreSettings


def plan(series, subject=None):
    """The recommendations and blocked changes of the workload; the results for the fleet's empty nodes are left out."""
    subject = subject or workload(annotations={CHECKPOINTED: "true"})
    nodes = (node(), MIG_NODE, node("spot-0", capacity=CapacityType.SPOT))
    profiles = {subject.ref: profile(series, ScoreSettings())}
    advice = recommend(Fleet(inventory(subject, nodes=nodes), profiles, PRICES, RecommendSettings(), NOW_S))
    return tuple([item for item in items if item.workload == subject.ref] for items in (advice.plan, advice.blocked))


def test_a_plan_has_one_change_per_workload_and_blocks_the_alternatives():
    chosen, blocked = plan(usage(device(WEEK)))
    assert [r.finding for r in chosen] == [Finding.IDLE]
    assert Reason.BETTER_ALTERNATIVE in {h.reason for h in blocked}
    assert len(chosen) + len(blocked) == len(METHODS)


def test_i20_the_same_input_gives_the_same_ids_and_etags():
    first, second = plan(usage(device(WEEK)))[0], plan(usage(device(WEEK)))[0]
    assert [(r.id, r.etag) for r in first] == [(r.id, r.etag) for r in second]


def test_i20_incident_karpenter_provider_aws_5373_an_upgrade_keeps_the_ids_of_recommendations():
    """The id as of version 0.1.0: with another one, dismissals, approvals and cool-downs would no longer be found."""
    assert [item.id for item in plan(usage(device(WEEK)))[0]] == ["r-df166fa5a8"]


def test_a_recreated_object_gets_another_id():
    one = workload()
    other = replace(one, ref=replace(one.ref, uid="uid-2"))
    ids = {plan(usage(device(WEEK), workload=w.ref), w)[0][0].id for w in (one, other)}
    assert len(ids) == 2


busy_steps = st.lists(st.integers(0, WEEK - 1), max_size=6)
voters = st.sampled_from([Signal.SM_ACTIVITY, Signal.GPU_UTIL, Signal.POWER, Signal.DRAM_ACTIVITY])


@settings(max_examples=40)
@given(busy_steps, st.sampled_from(["all", Signal.SM_ACTIVITY, Signal.POWER, Signal.MEMORY_USED]), busy_steps)
def test_the_savings_of_a_plan_never_exceed_the_bill(busy, signal, holes):
    one = device(WEEK, busy=busy)
    for column in one.samples.values() if signal == "all" else [one.samples[signal]]:
        column[holes] = np.nan
    chosen, _ = plan(usage(one))
    assert sum(r.saving.usd_month for r in chosen) <= 3.0 * 730 * (1 + 1e-9)
    assert all(r.saving.low_usd_month <= r.saving.usd_month <= r.saving.high_usd_month for r in chosen)


@settings(max_examples=40)
@given(busy_steps, busy_steps, voters)
def test_i3_activity_or_holes_never_add_a_shutdown(busy, more, signal):
    before, active, holed = (device(WEEK, busy=busy) for _ in range(3))
    active.samples[signal][more] = BUSY_VALUES[signal]
    holed.samples[signal][more] = np.nan
    stops = [isinstance(idle_shutdown(case(usage(d))), Recommendation) for d in (before, active, holed)]
    assert stops[1] <= stops[0]
    assert stops[2] <= stops[0]


@pytest.mark.parametrize(("watts", "sized"), [(120.0, True), (380.0, False)])
def test_sensors_that_contradict_each_other_size_nothing(watts, sized):
    """An A100 at 380 of 400 W is not at 3 % on every pipe: one sensor is wrong, and it reads low rather than zero."""
    one = device(WEEK)
    low = {Signal.SM_ACTIVITY: 0.03, Signal.DRAM_ACTIVITY: 0.03, Signal.GPU_UTIL: 0.4, Signal.POWER: watts}
    one = replace(one, samples=one.samples | {name: np.full(WEEK, value) for name, value in low.items()})
    chosen, blocked = plan(usage(one))
    assert any(item.reason is Reason.SIGNALS_DISAGREE for item in blocked) is not sized
    if not sized:
        sizes = {Finding.GPU_OVERPROVISIONED, Finding.GPU_SHAREABLE, Finding.GPU_TYPE_OVERPROVISIONED}
        assert not any(item.finding in sizes for item in chosen)


def fleet_of_two():
    idle, used = workload(), workload(replace(workload().ref, name="used", uid="uid-used"))
    profiles = {
        idle.ref: profile(usage(device(WEEK)), ScoreSettings()),
        used.ref: profile(usage(device(WEEK, busy=range(0, WEEK, 2)), workload=used.ref), ScoreSettings()),
    }
    nodes = (node(), MIG_NODE, node("spot-0", capacity=CapacityType.SPOT))
    return Fleet(inventory(idle, used, nodes=nodes), profiles, PRICES, RecommendSettings(), NOW_S)


@pytest.mark.parametrize("number", range(len(METHODS)), ids=[one.__name__ for one in METHODS])
def test_a_method_that_fails_is_named_and_the_others_decide(number: int, monkeypatch: pytest.MonkeyPatch):
    fleet, method = fleet_of_two(), METHODS[number]

    def fails(case):
        raise ZeroDivisionError("planted")

    fails.__name__ = method.__name__
    others = (*METHODS[:number], *METHODS[number + 1 :])
    monkeypatch.setattr(plan_module, "METHODS", others)
    expected = recommend(fleet)
    monkeypatch.setattr(plan_module, "METHODS", (*METHODS[:number], fails, *METHODS[number + 1 :]))
    found = recommend(fleet)
    assert found.plan == expected.plan
    failed = [one for one in found.blocked if one.reason is Reason.METHOD_FAILED]
    assert {(one.workload.name, one.stage, one.detail) for one in failed} == {
        (name, method.__name__, "ZeroDivisionError: planted") for name in (workload().ref.name, "used")
    }
    assert len(found.blocked) == len(expected.blocked) + 2
    (note,) = failures_of(found.blocked)
    assert method.__name__ in note


def test_a_fleet_method_that_fails_keeps_what_it_has_found(monkeypatch: pytest.MonkeyPatch):
    fleet = fleet_of_two()

    def fails(fleet):
        yield from free_nodes(fleet)
        raise KeyError("planted")

    monkeypatch.setattr(plan_module, "FLEET_METHODS", (free_nodes,))
    expected = recommend(fleet)
    monkeypatch.setattr(plan_module, "FLEET_METHODS", (fails,))
    found = recommend(fleet)
    assert found.plan == expected.plan
    failed = [one for one in found.blocked if one.reason is Reason.METHOD_FAILED]
    assert {one.workload.name for one in failed} == set(fleet.inventory.nodes)


def test_no_method_fails_on_this_fleet():
    assert [one for one in recommend(fleet_of_two()).blocked if one.reason is Reason.METHOD_FAILED] == []
