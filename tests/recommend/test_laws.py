"""Laws for every method: invariants I1, I2 and I3 (docs/safety.md), and the claims of a plan."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.fleet import NOW_S, inventory, node, pod, workload
from tests.scored import profile
from tests.series import DAY_STEPS, device, usage

from gpuwise.model.changes import (
    CapPower,
    Change,
    ChangeGpuType,
    MoveToSpot,
    Resize,
    ScaleTo,
    Share,
    StopAtHours,
    StopWhenIdle,
)
from gpuwise.model.inventory import CapacityType, WorkloadClass
from gpuwise.model.labels import CHECKPOINTED
from gpuwise.model.price import PriceBook
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked, Recommendation
from gpuwise.model.signal import Signal
from gpuwise.recommend.case import Case
from gpuwise.recommend.fleet import Fleet
from gpuwise.recommend.plan import METHODS, recommend
from gpuwise.recommend.settings import RecommendSettings
from gpuwise.score.settings import ScoreSettings

DAYS = 14
STEPS = DAYS * DAY_STEPS
HOUR = DAY_STEPS // 24
ACTIVITY = (Signal.SM_ACTIVITY, Signal.TENSOR_ACTIVITY, Signal.DRAM_ACTIVITY, Signal.GPU_UTIL)
SIGNALS = (*ACTIVITY, Signal.POWER, Signal.MEMORY_USED)
PRICES = PriceBook(
    {
        ("A100-80GB", CapacityType.ON_DEMAND): 3.0,
        ("A100-80GB", CapacityType.SPOT): 1.0,
        ("L40S", CapacityType.ON_DEMAND): 1.5,
        ("T4", CapacityType.ON_DEMAND): 0.5,
    },
    "written for tests",
    {"eu-west-1": 0.3},
)
SETTINGS = RecommendSettings(usd_per_kwh=0.2)
NODES = (
    node(),
    node("mig-0", mig={"1g.10gb": 7, "2g.20gb": 3}),
    node("spot-0", capacity=CapacityType.SPOT),
    node("l40s-0", gpu="L40S"),
    node("t4-0", gpu="T4"),
)
DEFERRED = {Reason.NO_ACTIVITY, Reason.NOTHING_TO_CAP}
CLASSES = [
    (WorkloadClass.ENDPOINT, "Deployment"),
    (WorkloadClass.NOTEBOOK, "StatefulSet"),
    (WorkloadClass.TRAINING, "StatefulSet"),
]


def used(hours, level, shown_by=ACTIVITY):
    """A GPU that works at a level in some hours and is idle in the others, with every signal sampled.

    Args:
        hours: in which it works.
        level: of the activity signals.
        shown_by: signals that show the work; the others stay at their idle values.
    """
    one = device(
        STEPS, signals=(Signal.SM_ACTIVITY, Signal.DRAM_ACTIVITY, Signal.GPU_UTIL, Signal.POWER, Signal.MEMORY_USED)
    )
    samples = dict(one.samples) | {Signal.TENSOR_ACTIVITY: np.zeros(STEPS)}
    steps = np.concatenate([np.arange(hour * HOUR, (hour + 1) * HOUR) for hour in hours] or [[]]).astype(int)
    for signal in shown_by:
        samples[signal][steps] = 60 + 340 * level if signal is Signal.POWER else level
    if set(shown_by) >= set(ACTIVITY):
        samples[Signal.POWER][steps] = 60 + 340 * level
    samples[Signal.MEMORY_USED][:] = 6.0 * 2**30
    # A board's power varies by milliwatts. A page that stands still is not measured (I29): to add activity to it, or to
    # remove a part of it, would show that it is alive.
    samples[Signal.POWER] = samples[Signal.POWER] + 0.001 * (np.arange(STEPS) % 5)
    return replace(one, samples=samples)


def scored(device, requests=None):
    return profile(usage(device, requests=requests), ScoreSettings())


def case(profiled, kind=CLASSES[0], replicas=4):
    workload_class, name = kind
    pods = tuple(pod(f"chat-{index}") for index in range(replicas))
    ref = replace(workload().ref, kind=name)
    subject = workload(ref, pods=pods, workload_class=workload_class, annotations={CHECKPOINTED: "true"})
    fleet = Fleet(inventory(subject, nodes=NODES), {ref: profiled}, PRICES, SETTINGS, NOW_S)
    return Case(subject, profiled, fleet)


def boldness(change: Change) -> float:
    """How far a change goes compared with others of its kind: less capacity is bolder."""
    match change:
        case ScaleTo():
            return -change.replicas
        case Resize():
            slices = change.proposed.resource.partition("mig-")[2].partition("g")[0]
            return -change.proposed.count * float(slices or 7)
        case Share():
            return change.tenants
        case StopAtHours():
            return sum(last - first for first, last in change.spans)
        case ChangeGpuType():
            return -PRICES.usd_per_gpu_h[change.proposed, CapacityType.ON_DEMAND]
        case CapPower():
            return -change.limit_w
        case StopWhenIdle() | MoveToSpot():
            return 1.0  # done or not: the wait follows from the rhythm, not from the load
    raise AssertionError(change)


def requested(device):
    """A request in every step in which a signal shows work."""
    activity = np.stack([device.samples[signal] for signal in ACTIVITY])
    busy = (np.nan_to_num(activity, nan=0.0) >= 0.02).any(axis=0) | (device.samples[Signal.POWER] >= 100.0)
    return np.where(busy, 1.0, 0.0)


def no_bolder(after, before, kind, requests=None, *, reported=True):
    """No method proposes a bolder change after than before, unless it was blocked before by a reason in DEFERRED.

    Args:
        after: the device with more activity or less data.
        before: the device.
        kind: of the workload.
        requests: after; None for those that go with the work before.
        reported: whether requests are reported at all.
    """
    known = requested(before) if reported else None
    less = case(scored(after, known if requests is None else requests), kind)
    more = case(scored(before, known), kind)
    for method in METHODS:
        proposed, could = method(less), method(more)
        if isinstance(proposed, Blocked) or (isinstance(could, Blocked) and could.reason in DEFERRED):
            continue
        assert isinstance(could, Recommendation), (method.__name__, could)
        assert boldness(proposed.change) <= boldness(could.change), method.__name__


hours = st.lists(st.integers(0, DAYS * 24 - 1), max_size=200, unique=True)
office = st.just([day * 24 + hour for day in range(DAYS) for hour in range(8, 18)])
levels = st.sampled_from([0.02, 0.04, 0.12, 0.3, 0.9])  # 0.02 is the threshold itself
# All activity signals show the work, or one signal alone does: another exporter, another failure.
shown = st.just(ACTIVITY) | st.sampled_from([*ACTIVITY, Signal.POWER]).map(lambda one: (one,))
MOST = {Signal.POWER: 390.0, Signal.MEMORY_USED: 75.0 * 2**30}
spans = st.lists(st.tuples(st.integers(0, STEPS - 1), st.integers(1, 400)), min_size=1, max_size=4)
kinds = st.sampled_from(CLASSES)


@settings(max_examples=300)
@given(kinds, hours | office, levels, shown, st.sampled_from(SIGNALS), spans)
def test_i3_more_activity_never_makes_a_change_bolder(kind, busy, level, shown_by, signal, more):
    before, after = used(busy, level, shown_by), used(busy, level, shown_by)
    for start, length in more:
        column = after.samples[signal][start : start + length]
        np.maximum(column, MOST.get(signal, 0.95), out=column)
    no_bolder(after, before, kind)


@settings(max_examples=100)
@given(hours | office, levels, spans, st.sampled_from([np.nan, 1.0]))
def test_i3_more_requests_or_fewer_known_never_make_a_change_bolder(busy, level, where, what):
    one = used(busy, level)
    requests = requested(one)
    for start, length in where:
        requests[start : start + length] = what
    no_bolder(one, one, CLASSES[0], requests)


@settings(max_examples=300)
# The latest of two weeks alone weighs as much as both, if it is not older than three days.
@example(CLASSES[1], [100], 0.02, ACTIVITY, None, [(1140, 72)], False)
@given(kinds, hours | office, levels, shown, st.sampled_from([*SIGNALS, None]), spans, st.booleans())
def test_i3_less_data_never_makes_a_change_bolder(kind, busy, level, shown_by, signal, holes, reported):
    before, after = used(busy, level, shown_by), used(busy, level, shown_by)
    for column in [after.samples[signal]] if signal else after.samples.values():
        for start, length in holes:
            column[start : start + length] = np.nan
    no_bolder(after, before, kind, reported=reported)


recent_hours = st.lists(st.integers(DAYS * 24 - 72, DAYS * 24 - 1), min_size=1, max_size=3, unique=True)


@settings(max_examples=100)
@given(kinds, recent_hours, levels, st.sampled_from([*ACTIVITY, Signal.POWER]), st.integers(0, 2 * HOUR), st.booleans())
def test_i27_losing_the_hours_of_the_one_signal_that_shows_use_never_makes_a_change_bolder(
    kind, busy, level, signal, more, reported
):
    """The holes lie over the use, the whole hour of it and up to two more, in that signal alone."""
    before, after = used(busy, level, (signal,)), used(busy, level, (signal,))
    for hour in busy:
        after.samples[signal][hour * HOUR : (hour + 1) * HOUR + more] = np.nan
    no_bolder(after, before, kind, reported=reported)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda one: one[0].value)
def test_i1_incident_keda_3065_without_samples_nothing_is_recommended(kind):
    blind = used([], 0.3)
    for column in blind.samples.values():
        column[:] = np.nan
    one = case(scored(blind), kind)
    assert [found for method in METHODS if isinstance(found := method(one), Recommendation)] == []


@pytest.mark.parametrize("kind", CLASSES, ids=lambda one: one[0].value)
@pytest.mark.parametrize("level", [0.0, 0.3])
@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_workload_whose_pods_have_ended_has_no_gpu_to_save(kind, level, phase):
    """The completed pods of a Job remain until it is deleted."""
    one = case(scored(used(range(0, DAYS * 24, 9), level)), kind)
    ended = tuple(replace(pod, phase=phase) for pod in one.workload.pods)
    one = replace(one, workload=replace(one.workload, pods=ended))
    assert [item.change for method in METHODS if isinstance(item := method(one), Recommendation)] == []


@pytest.mark.parametrize("kind", CLASSES, ids=lambda one: one[0].value)
def test_i2_incident_kubernetes_99394_one_sensor_alone_neither_stops_nor_shrinks_a_workload(kind):
    blind = used([], 0.0)
    alone = replace(blind, samples={Signal.GPU_UTIL: blind.samples[Signal.GPU_UTIL]})
    one = case(scored(alone), kind)
    found = [item.change for method in METHODS if isinstance(item := method(one), Recommendation)]
    assert all(isinstance(change, MoveToSpot) for change in found)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda one: one[0].value)
@pytest.mark.parametrize("zero", [*ACTIVITY, Signal.POWER], ids=lambda one: one.value)
def test_i2_one_signal_that_reads_zero_at_full_load_stops_and_shrinks_nothing(kind, zero):
    """dcgm-exporter#662: GR_ENGINE_ACTIVE was 0 on all GPUs at 99 % load; #216: GPU_UTIL is 0 under MIG."""
    full = used(range(DAYS * 24), 0.99)
    full.samples[zero][:] = 60.0 if zero is Signal.POWER else 0.0
    advice = recommend(case(scored(full), kind).fleet)
    found = [item.change for item in (*advice.plan, *advice.alternatives)]
    # A power limit follows from the power alone, and takes no capacity away.
    assert all(isinstance(change, MoveToSpot | CapPower) for change in found), found


@settings(max_examples=100)
@example(CLASSES[0], 0.0, 1)
@example(CLASSES[1], 0.125, 286822)  # by chance four hours of the week have no gap in either week
@given(kinds, st.floats(0.0, 0.3), st.integers(0, 2**32 - 1))
def test_i2_below_the_required_coverage_nothing_is_stopped(kind, missing, seed):
    """Scrapes dropped at random, of all signals at once: every idle step that remains has all its sensors."""
    idle = used([], 0.0)
    dropped = np.random.default_rng(seed).random(STEPS) < missing
    for column in idle.samples.values():
        column[dropped] = np.nan
    one = case(scored(idle), kind)
    stopped = [item for method in METHODS if isinstance(item := method(one), Recommendation)]
    stopped = [item for item in stopped if isinstance(item.change, ScaleTo | StopAtHours)]
    if dropped.mean() > 1.0 - SETTINGS.min_coverage:
        assert stopped == []
    if not missing:
        assert stopped


def one_gpu_h(node) -> float:
    return PRICES.price(node.gpu_type.name, node.capacity_type)


@settings(max_examples=25)
@given(hours | office, levels, kinds)
def test_the_savings_of_a_plan_never_exceed_the_bill_and_no_two_share_a_claim(busy, level, kind):
    one = case(scored(used(busy, level)), kind)
    advice = recommend(one.fleet)
    chosen, blocked = advice.plan, advice.blocked
    energy_usd = 0.4 * 730 * 0.2  # 400 W at most
    # The workload's GPU, and whole nodes that are drained and removed; the workload's node is not both.
    whole = {item.workload.name for item in chosen if item.workload.kind == "Node"}
    nodes_usd = {one.name: one.gpu_count * 730 * one_gpu_h(one) for one in NODES}
    gpus_usd = 3.0 * 730 if one.workload.pods[0].node not in whole else 0.0
    bill_usd = gpus_usd + energy_usd + sum(nodes_usd[name] for name in whole)
    assert sum(item.saving.usd_month for item in chosen) <= bill_usd * (1 + 1e-9)
    claims = [claim for item in chosen for claim in item.claims]
    assert len(claims) == len(set(claims))
    about = [item for item in (*chosen, *blocked) if item.workload == one.workload.ref]
    assert len(about) == len(METHODS)
