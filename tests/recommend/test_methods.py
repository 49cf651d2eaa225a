from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fleet import NOW_S, PRICES, inventory, node, pod, workload
from tests.series import BUSY_VALUES, DAY_STEPS, device, usage

from gpuwise.model.inventory import CapacityType, WorkloadClass, WorkloadRef
from gpuwise.model.labels import CHECKPOINTED
from gpuwise.model.price import PriceBook
from gpuwise.model.recommendation import Blocked, Finding, MoveToSpot, Reason, Recommendation, Resize, ScaleTo
from gpuwise.model.signal import Signal
from gpuwise.recommend.case import Case
from gpuwise.recommend.fleet import Fleet
from gpuwise.recommend.methods.gpu_overprovisioned import right_size
from gpuwise.recommend.methods.idle import idle_shutdown
from gpuwise.recommend.methods.idle_between_uses import stop_when_idle
from gpuwise.recommend.methods.interruptible_on_demand import spot_move
from gpuwise.recommend.plan import METHODS, recommend
from gpuwise.recommend.settings import RecommendSettings
from gpuwise.score.profile import profile
from gpuwise.score.settings import ScoreSettings

WEEK = 7 * DAY_STEPS
MIG_NODE = node("mig-0", mig={"1g.10gb": 7, "2g.20gb": 3, "3g.40gb": 2})


def case(series, subject=None, *, nodes=None, prices=PRICES):
    subject = subject or workload()
    scored = profile(series, ScoreSettings())
    around = Fleet(inventory(subject, nodes=nodes), {subject.ref: scored}, prices, RecommendSettings(), NOW_S)
    return Case(subject, scored, around)


def reason(found) -> Reason:
    assert isinstance(found, Blocked), found
    return found.reason


class TestIdle:
    def test_a_forgotten_endpoint_is_stopped_for_the_price_of_its_gpu(self):
        found = idle_shutdown(case(usage(device(WEEK), requests=np.zeros(WEEK))))
        assert isinstance(found, Recommendation)
        assert found.change == ScaleTo(0)
        assert found.finding is Finding.IDLE
        assert found.saving.usd_month == pytest.approx(3.0 * 730)
        assert found.owner == "search"
        assert found.risk == 0
        assert Reason.NO_REQUESTS in found.reasons

    def test_what_may_be_used_again_is_worth_what_passes_until_then(self):
        """A notebook of office hours, on a Sunday evening: it is wanted on Monday, so stopping it now saves a night."""
        four = 4 * WEEK
        hours = np.arange(four) // 12
        office = (hours // 24 % 7 < 5) & (hours % 24 >= 8) & (hours % 24 < 18)
        one = usage(device(four, busy=np.flatnonzero(office)))
        found = idle_shutdown(case(one, workload(workload_class=WorkloadClass.NOTEBOOK)))
        saving = found.saving
        assert 0 < saving.low_usd_month <= saving.usd_month <= saving.high_usd_month < 3.0 * 24 * 7
        forecast = next(e for e in found.evidence if e.statistic == "forecast")
        assert saving.usd_month == pytest.approx(3.0 * forecast.value)
        assert found.risk == 1

    def test_a_busy_one_is_held_with_the_signals_that_say_so(self):
        found = idle_shutdown(case(usage(device(WEEK, busy=range(WEEK)))))
        assert reason(found) is Reason.BUSY
        assert {e.signal for e in found.evidence} >= {Signal.SM_ACTIVITY, Signal.POWER}

    def test_a_quiet_weekend_does_not_stop_an_endpoint(self):
        weekend = 65 * 12
        assert reason(idle_shutdown(case(usage(device(WEEK, busy=range(WEEK - weekend)))))) is Reason.TOO_YOUNG

    def test_a_notebook_is_forgotten_after_a_day(self):
        subject = workload(workload_class=WorkloadClass.NOTEBOOK)
        found = idle_shutdown(case(usage(device(WEEK, busy=range(WEEK - DAY_STEPS))), subject))
        assert isinstance(found, Recommendation)

    def test_i2_gpu_util_alone_stops_nothing(self):
        found = idle_shutdown(case(usage(device(WEEK, signals=(Signal.GPU_UTIL, Signal.MEMORY_USED)))))
        assert reason(found) is Reason.NEEDS_SECOND_SIGNAL

    def test_signals_that_disagree_are_named(self):
        one = device(WEEK)
        one.samples[Signal.POWER][:] = BUSY_VALUES[Signal.POWER]
        found = idle_shutdown(case(usage(one)))
        assert reason(found) is Reason.SIGNALS_DISAGREE
        assert "power_watts" in found.detail

    def test_no_price_is_a_hold_not_a_saving_of_zero(self):
        found = idle_shutdown(case(usage(device(WEEK)), prices=PriceBook({}, "none")))
        assert reason(found) is Reason.NO_PRICE

    def test_a_kind_that_cannot_be_stopped_is_left(self):
        ref = WorkloadRef("research", "RayCluster", "sweep", "uid-1")
        series = usage(device(WEEK), workload=ref)
        assert reason(idle_shutdown(case(series, workload(ref)))) is Reason.KIND_NOT_SUPPORTED

    def test_an_idle_job_is_risky(self):
        ref = WorkloadRef("research", "Job", "sweep", "uid-1")
        assert idle_shutdown(case(usage(device(WEEK), workload=ref), workload(ref))).risk == 3

    def test_what_holds_no_gpu_is_stopped_already(self):
        found = idle_shutdown(case(usage(device(WEEK)), workload(pods=())))
        assert reason(found) is Reason.ALREADY_STOPPED


class TestRightSize:
    def test_gpus_never_busy_together_go(self):
        devices = [device(WEEK, uuid=f"GPU-{i}", busy=range(WEEK) if i < 2 else ()) for i in range(8)]
        found = right_size(case(usage(*devices), workload(gpus=8)))
        assert isinstance(found.change, Resize)
        assert found.change.proposed.count == 2
        assert found.saving.gpu_h_month == pytest.approx(6 * 730)

    def test_three_busy_gpus_keep_four(self):
        devices = [device(WEEK, uuid=f"GPU-{i}", busy=range(WEEK) if i < 3 else ()) for i in range(8)]
        assert right_size(case(usage(*devices), workload(gpus=8))).change.proposed.count == 4

    def test_a_small_one_fits_a_slice_with_headroom(self):
        one = device(WEEK)
        one.samples[Signal.SM_ACTIVITY][:] = 0.10
        one.samples[Signal.MEMORY_USED][:] = 7.5 * 2**30
        found = right_size(case(usage(one), nodes=[node(), MIG_NODE]))
        assert found.change.proposed.resource == "nvidia.com/mig-1g.10gb"
        assert found.saving.gpu_h_month == pytest.approx(730 * 6 / 7)

    def test_memory_alone_asks_for_a_larger_slice(self):
        one = device(WEEK)
        one.samples[Signal.SM_ACTIVITY][:] = 0.10
        one.samples[Signal.MEMORY_USED][:] = 8.0 * 2**30  # x 1.15 x (1 + 1 / 7 days) is over 10 GiB
        found = right_size(case(usage(one), nodes=[node(), MIG_NODE]))
        assert found.change.proposed.resource == "nvidia.com/mig-2g.20gb"  # 1g.20gb would do, and is not offered
        double = node("mig-1", mig={"1g.20gb": 4})
        found = right_size(case(usage(one), nodes=[node(), MIG_NODE, double]))
        assert found.change.proposed.resource == "nvidia.com/mig-1g.20gb"
        assert found.saving.gpu_h_month == pytest.approx(730 * 3 / 4)  # four fill a card's memory

    def test_a_slice_that_no_node_offers_is_not_proposed(self):
        one = device(WEEK)
        one.samples[Signal.SM_ACTIVITY][:] = 0.10
        assert reason(right_size(case(usage(one)))) is Reason.NO_MIG_CAPACITY

    def test_gpu_util_says_nothing_about_size(self):
        one = device(WEEK, busy=range(WEEK), signals=(Signal.GPU_UTIL, Signal.MEMORY_USED, Signal.POWER))
        assert reason(right_size(case(usage(one), nodes=[MIG_NODE, node()]))) is Reason.INSUFFICIENT_DATA

    def test_two_days_size_nothing(self):
        found = right_size(case(usage(device(2 * DAY_STEPS, busy=[0]))))
        assert reason(found) is Reason.INSUFFICIENT_DATA


class TestSpot:
    SPOT_NODES = (node(), node("spot-0", capacity=CapacityType.SPOT))

    def test_checkpointed_work_moves(self):
        subject = workload(annotations={CHECKPOINTED: "true"})
        found = spot_move(case(usage(device(WEEK, busy=range(WEEK))), subject, nodes=self.SPOT_NODES))
        assert found.change == MoveToSpot()
        assert found.saving.high_usd_month == pytest.approx(2.0 * 730)
        lost = next(e.value for e in found.evidence if e.statistic == "expected")
        assert 0.003 < lost < 0.03
        assert found.saving.usd_month == pytest.approx((3.0 - 1.0 - lost) * 730)
        assert found.saving.low_usd_month == pytest.approx((3.0 - 1.2 - lost) * 730)

    def test_a_gang_of_machines_is_stopped_by_each_and_saves_more_often(self):
        def told(*nodes):
            pods = tuple(pod(f"w-{i}", on=name) for i, name in enumerate(nodes))
            subject = workload(annotations={CHECKPOINTED: "true"}, pods=pods)
            around = (*(node(name) for name in nodes), node("spot-0", capacity=CapacityType.SPOT))
            found = spot_move(case(usage(device(WEEK, busy=range(WEEK))), subject, nodes=around))
            return {e.statistic: e.value for e in found.evidence}

        one, four = told("a"), told("a", "b", "c", "d")
        assert four["count"] == 4
        assert four["expected"] > one["expected"]
        # Young's formula goes with the root of the life, Daly's nearly so.
        assert four["optimum"] == pytest.approx(one["optimum"] / 2, rel=0.02)

    @pytest.mark.parametrize("word", ["True", "yes", "1", "false", ""])
    def test_i22_any_other_word_is_not_checkpointed(self, word):
        subject = workload(annotations={CHECKPOINTED: word})
        found = spot_move(case(usage(device(WEEK, busy=range(WEEK))), subject, nodes=self.SPOT_NODES))
        assert reason(found) is Reason.NOT_INTERRUPTIBLE

    def test_i22_a_single_replica_does_not_move(self):
        found = spot_move(case(usage(device(WEEK, busy=range(WEEK))), nodes=self.SPOT_NODES))
        assert reason(found) is Reason.NOT_INTERRUPTIBLE

    def test_without_spot_nodes_there_is_nowhere_to_go(self):
        subject = workload(pods=(pod("a"), pod("b")))
        assert reason(spot_move(case(usage(device(WEEK, busy=[0])), subject))) is Reason.NO_SPOT_CAPACITY

    def test_what_is_on_spot_stays(self):
        subject = workload(pods=(pod("a", on="spot-0"), pod("b", on="spot-0")))
        found = spot_move(case(usage(device(WEEK)), subject, nodes=self.SPOT_NODES))
        assert reason(found) is Reason.ALREADY_SPOT


class TestStopWhenIdle:
    """An endpoint that works for an hour every six, a request in every step at work."""

    BUSY = tuple(step for step in range(WEEK) if step // 12 % 6 == 0)

    def asked(self, busy):
        return np.isin(np.arange(WEEK), busy).astype(float)

    def found(self, busy, requests="asked", **about):
        known = self.asked(busy) if requests == "asked" else requests
        return stop_when_idle(case(usage(device(WEEK, busy=busy), requests=known), **about))

    def test_long_rests_are_worth_stopping_for(self):
        found = self.found(self.BUSY)
        assert found.finding is Finding.IDLE_BETWEEN_USES
        # Five hours of six at rest, less 1200 s a rest for the wait and the start.
        spared = (5 - 1 / 3) / 6
        assert found.saving.usd_month == pytest.approx(3.0 * 730 * spared, rel=0.01)
        assert 0 < found.saving.low_usd_month <= found.saving.usd_month
        assert found.change.after_s == 900  # its rests are long: as soon as they can be told

    def test_short_rests_are_not(self):
        busy = tuple(step for step in range(WEEK) if step % 6 < 2)  # 20 minutes of rest: a wait and a start
        assert reason(self.found(busy)) is Reason.STEADILY_USED

    def test_without_requests_nobody_would_start_it_again(self):
        assert reason(self.found(self.BUSY, requests=None)) is Reason.INSUFFICIENT_DATA

    def test_only_what_is_asked_for_is_started_by_a_request(self):
        subject = workload(workload_class=WorkloadClass.TRAINING)
        assert reason(self.found(self.BUSY, subject=subject)) is Reason.KIND_NOT_SUPPORTED

    def test_the_replay_is_that_of_the_waits_over_its_own_rests(self):
        found = self.found(self.BUSY)
        replayed = next(e.value for e in found.evidence if "replayed" in e.text)
        rest = next(e.value for e in found.evidence if "time at rest" in e.text)
        assert found.saving.low_usd_month == pytest.approx(3.0 * 730 * min(replayed, found.evidence[3].value))
        assert replayed < rest


def plan(series, subject=None):
    """What is said of the workload; its fleet has empty nodes, of which more is said."""
    subject = subject or workload(annotations={CHECKPOINTED: "true"})
    nodes = (node(), MIG_NODE, node("spot-0", capacity=CapacityType.SPOT))
    profiles = {subject.ref: profile(series, ScoreSettings())}
    said = recommend(Fleet(inventory(subject, nodes=nodes), profiles, PRICES, RecommendSettings(), NOW_S))
    return tuple([item for item in items if item.workload == subject.ref] for items in (said.plan, said.blocked))


def test_one_change_a_workload_the_rest_is_held_as_a_lesser_alternative():
    chosen, blocked = plan(usage(device(WEEK)))
    assert [r.finding for r in chosen] == [Finding.IDLE]
    assert Reason.BETTER_ALTERNATIVE in {h.reason for h in blocked}
    assert len(chosen) + len(blocked) == len(METHODS)


def test_i20_the_same_input_gives_the_same_ids_and_etags():
    first, second = plan(usage(device(WEEK)))[0], plan(usage(device(WEEK)))[0]
    assert [(r.id, r.etag) for r in first] == [(r.id, r.etag) for r in second]


def test_a_recreated_namesake_gets_another_id():
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
