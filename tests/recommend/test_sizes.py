"""Replicas, sharing, type of card, hours and power limits: what fits is proposed, and what does not says why."""

from dataclasses import replace

import numpy as np
import pytest
from tests.fleet import NOW_S, PRICES, inventory, node, pod, workload
from tests.series import DAY_STEPS, device, usage

from gpuwise.model.inventory import CapacityType, WorkloadClass
from gpuwise.model.price import PriceBook
from gpuwise.model.recommendation import (
    Blocked,
    CapPower,
    ChangeGpuType,
    Reason,
    Recommendation,
    ScaleTo,
    Share,
    Sharing,
    StopAtHours,
)
from gpuwise.model.signal import Signal
from gpuwise.recommend.case import Case
from gpuwise.recommend.fleet import Fleet
from gpuwise.recommend.methods.gpu_shareable import share_card
from gpuwise.recommend.methods.gpu_type_overprovisioned import cheaper_type
from gpuwise.recommend.methods.power_limit_overprovisioned import cap_power
from gpuwise.recommend.methods.replicas_overprovisioned import fewer_replicas
from gpuwise.recommend.methods.unused_hours import stop_at_hours
from gpuwise.recommend.settings import RecommendSettings
from gpuwise.score.profile import profile
from gpuwise.score.settings import ScoreSettings

WEEK = 7 * DAY_STEPS
HOUR = DAY_STEPS // 24
BOOK = PriceBook(
    {
        ("A100-80GB", CapacityType.ON_DEMAND): 3.0,
        ("L40S", CapacityType.ON_DEMAND): 1.5,
        ("T4", CapacityType.ON_DEMAND): 0.5,
    },
    "made by hand",
    {"eu-west-1": 0.3},
)


def at_level(steps=WEEK, *, sm=0.1, dram=0.1, tensor=0.05, watts=120.0, gib=10.0):
    one = device(steps)
    levels = {Signal.SM_ACTIVITY: sm, Signal.DRAM_ACTIVITY: dram, Signal.TENSOR_ACTIVITY: tensor}
    levels |= {Signal.GPU_UTIL: 0.9, Signal.POWER: watts, Signal.MEMORY_USED: gib * 2**30}
    return replace(one, samples={signal: np.full(steps, value) for signal, value in levels.items()})


def case(one, subject=None, *, nodes=None, prices=BOOK, **settings):
    subject = subject or workload()
    scored = profile(usage(one, workload=subject.ref), ScoreSettings())
    around = Fleet(
        inventory(subject, nodes=nodes or [node(), node("l40s-0", gpu="L40S"), node("t4-0", gpu="T4")]),
        {subject.ref: scored}, prices, RecommendSettings(**settings), NOW_S,
    )  # fmt: skip
    return Case(subject, scored, around)


def reason(found) -> Reason:
    assert isinstance(found, Blocked), found
    return found.reason


def training(**changes):
    ref = replace(workload().ref, kind="StatefulSet")
    return workload(ref, workload_class=WorkloadClass.TRAINING, **changes)


class TestReplicas:
    FIVE = workload(pods=tuple(pod(f"chat-{i}") for i in range(5)))

    @pytest.mark.parametrize(("sm", "left"), [(0.05, 2), (0.3, 3), (0.4, 4)])
    def test_they_carry_the_load_at_the_level_that_queues_allow(self, sm, left):
        """5 x 0.3 x 1.15 x (1 + 1/7) / 0.7 = 2.8: three; never fewer than two."""
        found = fewer_replicas(case(at_level(sm=sm), self.FIVE))
        assert found.change == ScaleTo(left)
        assert found.saving.gpu_h_month == pytest.approx(730 * (1 - left / 5))

    def test_a_loaded_one_keeps_them(self):
        assert reason(fewer_replicas(case(at_level(sm=0.6), self.FIVE))) is Reason.WELL_SIZED

    def test_two_stay_two(self):
        pair = workload(pods=(pod("a"), pod("b")))
        assert reason(fewer_replicas(case(at_level(), pair))) is Reason.SINGLE_REPLICA

    def test_workers_of_one_training_do_not_stand_in_for_each_other(self):
        assert reason(fewer_replicas(case(at_level(), training()))) is Reason.KIND_NOT_SUPPORTED


class TestSharing:
    def test_a_slice_comes_before_what_isolates_less(self):
        found = share_card(case(at_level()))
        assert found.change == Share(Sharing.MIG, 4)  # 10 GiB with headroom need 1g.20gb, four to a card
        assert found.saving.low_usd_month == 0.0  # until somebody takes the room

    def test_what_fits_no_slice_twice_shares_by_mps_with_its_risk(self):
        found = share_card(case(replace(at_level(gib=6.0), gpu_type="L40S"), nodes=[node(gpu="L40S")]))
        assert found.change == Share(Sharing.MPS, 4)
        assert found.risk == 2

    def test_a_neighbour_on_the_node_is_a_risk_more(self):
        one = replace(at_level(gib=6.0), gpu_type="L40S")
        alone = share_card(case(one, nodes=[node(gpu="L40S")]))
        subject = workload()
        other = workload(replace(subject.ref, name="other", uid="uid-2"), pods=(pod("other-0"),))
        scored = profile(usage(one), ScoreSettings())
        around = Fleet(inventory(subject, other, nodes=[node(gpu="L40S")]), {}, BOOK, RecommendSettings(), NOW_S)
        assert share_card(Case(subject, scored, around)).risk == alone.risk + 1

    def test_training_takes_all_that_it_is_given(self):
        assert reason(share_card(case(at_level(), training()))) is Reason.NOT_SHAREABLE

    def test_a_full_card_is_not_shared(self):
        assert reason(share_card(case(at_level(gib=70.0)))) is Reason.NOT_SHAREABLE


class TestGpuType:
    def test_the_cheapest_that_holds_compute_bandwidth_and_memory(self):
        """A tenth of an A100 is 31 TFLOPS, 204 GB/s and 10 GiB: with headroom a T4 (65, 320, 15) has it."""
        found = cheaper_type(case(at_level()))
        assert found.change == ChangeGpuType("A100-80GB", "T4")
        assert found.saving.usd_month == pytest.approx(2.5 * 730)
        assert found.saving.gpu_h_month == 0.0
        assert found.risk == 3

    @pytest.mark.parametrize("more", [{"gib": 14.0}, {"dram": 0.14}, {"sm": 0.2}])
    def test_each_need_alone_rules_a_card_out(self, more):
        assert cheaper_type(case(at_level(**more))).change == ChangeGpuType("A100-80GB", "L40S")

    def test_a_card_of_another_region_is_not_offered(self):
        far = replace(node("t4-0", gpu="T4"), region="us-east-1")
        assert reason(cheaper_type(case(at_level(), nodes=[node(), far]))) is Reason.NO_CHEAPER_TYPE
        allowed = case(at_level(), nodes=[node(), far], allowed_regions=("us-east-1",))
        assert cheaper_type(allowed).change.proposed == "T4"

    def test_links_between_cards_are_not_measured(self):
        assert reason(cheaper_type(case(at_level(), workload(gpus=4)))) is Reason.NO_CHEAPER_TYPE

    def test_without_tensor_activity_nothing_is_said(self):
        one = at_level()
        del one.samples[Signal.TENSOR_ACTIVITY]
        assert reason(cheaper_type(case(one))) is Reason.INSUFFICIENT_DATA


class TestHours:
    @staticmethod
    def office(weeks):
        hours = np.arange(weeks * WEEK) // HOUR
        busy = np.flatnonzero((hours // 24 % 7 < 5) & (hours % 24 >= 8) & (hours % 24 < 18))
        return device(weeks * WEEK, busy=busy)

    NOTEBOOK = workload(replace(workload().ref, kind="StatefulSet"), workload_class=WorkloadClass.NOTEBOOK)

    def test_nights_and_weekends_are_stopped_but_for_the_hour_before_work(self):
        found = stop_at_hours(case(self.office(3), self.NOTEBOOK))
        assert isinstance(found.change, StopAtHours)
        stopped = sum(last - first for first, last in found.change.spans)
        assert stopped == 168 - 5 * 10 - 5  # warm an hour before each working day
        assert found.saving.usd_month == pytest.approx(3.0 * 730 * stopped / 168)

    def test_once_is_no_habit(self):
        assert reason(stop_at_hours(case(self.office(1), self.NOTEBOOK))) is Reason.INSUFFICIENT_DATA

    def test_one_night_at_work_keeps_that_night(self):
        one = self.office(3)
        for signal in (Signal.SM_ACTIVITY, Signal.GPU_UTIL, Signal.POWER, Signal.DRAM_ACTIVITY):
            one.samples[signal][2 * WEEK + 2 * HOUR] = 0.9 if signal is not Signal.POWER else 350.0
        before = stop_at_hours(case(self.office(3), self.NOTEBOOK)).change.spans
        after = stop_at_hours(case(one, self.NOTEBOOK)).change.spans
        assert sum(b - a for a, b in after) < sum(b - a for a, b in before)

    def test_a_service_is_asked_at_any_hour(self):
        assert reason(stop_at_hours(case(self.office(3)))) is Reason.IS_A_SERVICE


class TestPower:
    def test_a_steady_draw_is_capped_where_five_per_cent_of_speed_go(self):
        """330 W / 1.05^2.5 = 292 W: the next step of 25 W above 160 W is 310 W."""
        found = cap_power(case(at_level(sm=0.8, watts=330.0), training(), usd_per_kwh=0.2))
        assert found.change == CapPower(310.0)
        spared_kwh = 730 * (330 - 310 - 0.05 * 310) / 1e3
        assert found.saving.kwh_month == pytest.approx(spared_kwh, rel=0.1)
        assert found.saving.usd_month == pytest.approx(0.2 * found.saving.kwh_month)
        assert found.saving.kg_co2e_month == pytest.approx(0.3 * found.saving.kwh_month)
        assert not found.restart_needed

    def test_a_low_draw_has_nothing_to_cap(self):
        found = cap_power(case(at_level(sm=0.8, watts=150.0), training(), usd_per_kwh=0.2))
        assert reason(found) is Reason.NOTHING_TO_CAP

    def test_where_energy_has_no_price_nothing_is_said(self):
        assert reason(cap_power(case(at_level(sm=0.8, watts=330.0), training()))) is Reason.NO_PRICE

    def test_what_rests_is_a_matter_of_stopping(self):
        one = device(WEEK, busy=range(DAY_STEPS))
        assert reason(cap_power(case(one, training(), usd_per_kwh=0.2))) is Reason.NO_ACTIVITY

    def test_somebody_waits_for_a_service(self):
        assert reason(cap_power(case(at_level(watts=330.0), usd_per_kwh=0.2))) is Reason.IS_A_SERVICE


def test_energy_and_carbon_stand_beside_the_dollars_or_are_unknown():
    found = share_card(case(at_level()))
    assert found.saving.kwh_month == pytest.approx(found.saving.gpu_h_month * 0.12, rel=0.05)
    assert found.saving.kg_co2e_month == pytest.approx(found.saving.kwh_month * 0.3)
    elsewhere = share_card(case(at_level(), prices=PRICES))
    assert isinstance(elsewhere, Recommendation)
    assert elsewhere.saving.kg_co2e_month is None
