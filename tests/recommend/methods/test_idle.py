"""Idle, Orphaned: unused workloads are stopped, and each case in which idleness is not proved."""

from dataclasses import replace

import numpy as np
import pytest
from tests.cases import WEEK, case, reason
from tests.fleet import NOW_S, pod, workload
from tests.series import BUSY_VALUES, DAY_STEPS, device, usage

from gpuwise.model.changes import ScaleTo
from gpuwise.model.findings import Finding
from gpuwise.model.inventory import WorkloadClass, WorkloadRef
from gpuwise.model.price import PriceBook
from gpuwise.model.profile import Verdict
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Recommendation
from gpuwise.model.signal import Signal
from gpuwise.recommend.methods.idle import idle_shutdown

WINDOW_END_S = usage(device(WEEK)).window.end_s


def test_a_forgotten_endpoint_is_stopped_and_saves_the_price_of_its_gpu():
    found = idle_shutdown(case(usage(device(WEEK), requests=np.zeros(WEEK))))
    assert isinstance(found, Recommendation)
    assert found.change == ScaleTo(0)
    assert found.finding is Finding.IDLE
    assert found.saving.usd_month == pytest.approx(3.0 * 730)
    assert found.owner == "search"
    assert found.risk == 0
    assert Reason.NO_REQUESTS in found.reasons


def test_the_saving_lasts_until_the_forecast_next_use():
    """A notebook used in office hours, on a Sunday evening: it is needed on Monday, so stopping it saves a night."""
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


def test_a_busy_workload_is_blocked_with_the_signals_as_evidence():
    found = idle_shutdown(case(usage(device(WEEK, busy=range(WEEK)))))
    assert reason(found) is Reason.BUSY
    assert {e.signal for e in found.evidence} >= {Signal.SM_ACTIVITY, Signal.POWER}


def test_a_device_that_does_not_report_is_named_also_where_the_others_were_used_before():
    used_before = case(usage(device(WEEK, busy=range(DAY_STEPS))))
    profile = replace(used_before.profile, running_pods=2, unsampled_pods=("chat-1",), idle=_not_idle(used_before))
    found = idle_shutdown(replace(used_before, profile=profile))
    assert reason(found) is Reason.BUSY
    assert "1 of 2 running pods lack samples (chat-1), which count as used" in found.detail


def _not_idle(one):
    """The idle evidence of a case with a device that counts as used up to now."""
    busy = tuple(verdict._replace(verdict=Verdict.BUSY) for verdict in one.profile.idle.verdicts)
    return replace(one.profile.idle, since_s=None, verdicts=busy)


def test_a_quiet_weekend_does_not_stop_an_endpoint():
    weekend = 65 * 12
    assert reason(idle_shutdown(case(usage(device(WEEK, busy=range(WEEK - weekend)))))) is Reason.TOO_YOUNG


def test_a_notebook_counts_as_forgotten_after_a_day():
    subject = workload(workload_class=WorkloadClass.NOTEBOOK)
    found = idle_shutdown(case(usage(device(WEEK, busy=range(WEEK - DAY_STEPS))), subject))
    assert isinstance(found, Recommendation)


@pytest.mark.parametrize("started_s", [WINDOW_END_S - 1, WINDOW_END_S, WINDOW_END_S + 299, WINDOW_END_S + 310])
def test_pods_that_were_started_a_moment_ago_begin_its_idle_time_again(started_s):
    one = case(usage(device(WEEK)), workload(pods=(replace(pod(), started_s=started_s),)))
    assert one.profile.window.end_s == WINDOW_END_S
    started_in_the_step_that_is_not_over = replace(one, fleet=replace(one.fleet, now_s=WINDOW_END_S + 299))
    assert reason(idle_shutdown(started_in_the_step_that_is_not_over)) is Reason.TOO_YOUNG


def test_pods_that_a_replay_cannot_know_do_not_count():
    one = case(usage(device(WEEK)), workload(pods=(replace(pod(), started_s=NOW_S + 3_600),)))
    assert isinstance(idle_shutdown(one), Recommendation)


def test_i2_incident_jobstats_28_gpu_util_alone_stops_nothing_beside_used_memory():
    found = idle_shutdown(case(usage(device(WEEK, signals=(Signal.GPU_UTIL, Signal.MEMORY_USED)))))
    assert reason(found) is Reason.NEEDS_SECOND_SIGNAL


def test_signals_that_disagree_are_named():
    one = device(WEEK)
    one.samples[Signal.POWER][:] = BUSY_VALUES[Signal.POWER]
    found = idle_shutdown(case(usage(one)))
    assert reason(found) is Reason.SIGNALS_DISAGREE
    assert "power_watts" in found.detail


def test_without_a_price_it_is_blocked_not_a_saving_of_zero():
    found = idle_shutdown(case(usage(device(WEEK)), prices=PriceBook({}, "none")))
    assert reason(found) is Reason.NO_PRICE


def test_a_kind_that_cannot_be_stopped_is_blocked():
    ref = WorkloadRef("research", "RayService", "sweep", "uid-1")
    series = usage(device(WEEK), workload=ref)
    assert reason(idle_shutdown(case(series, workload(ref)))) is Reason.KIND_NOT_SUPPORTED


def test_stopping_an_idle_job_has_a_high_risk():
    ref = WorkloadRef("research", "Job", "sweep", "uid-1")
    assert idle_shutdown(case(usage(device(WEEK), workload=ref), workload(ref))).risk == 3


def test_a_workload_without_pods_is_already_stopped():
    found = idle_shutdown(case(usage(device(WEEK)), workload(pods=())))
    assert reason(found) is Reason.ALREADY_STOPPED
