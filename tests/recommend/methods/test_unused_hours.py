"""UnusedHours: a workload is stopped in the hours of the week without use."""

from dataclasses import replace

import numpy as np
import pytest
from tests.cases import HOUR, WEEK, reason
from tests.cases import mixed_fleet_case as case
from tests.fleet import workload
from tests.series import device

from gpuwise.model.changes import StopAtHours
from gpuwise.model.inventory import WorkloadClass
from gpuwise.model.reasons import Reason
from gpuwise.model.signal import Signal
from gpuwise.recommend.methods.unused_hours import stop_at_hours


def office(weeks):
    hours = np.arange(weeks * WEEK) // HOUR
    busy = np.flatnonzero((hours // 24 % 7 < 5) & (hours % 24 >= 8) & (hours % 24 < 18))
    return device(weeks * WEEK, busy=busy)


NOTEBOOK = workload(replace(workload().ref, kind="StatefulSet"), workload_class=WorkloadClass.NOTEBOOK)


def test_it_is_stopped_at_night_and_at_weekends_except_the_hour_before_work():
    found = stop_at_hours(case(office(3), NOTEBOOK))
    assert isinstance(found.change, StopAtHours)
    stopped = sum(last - first for first, last in found.change.spans)
    assert stopped == 168 - 5 * 10 - 5  # started one hour before each working day
    assert found.saving.usd_month == pytest.approx(3.0 * 730 * stopped / 168)


def test_one_week_does_not_show_a_pattern():
    assert reason(stop_at_hours(case(office(1), NOTEBOOK))) is Reason.INSUFFICIENT_DATA


def test_use_in_one_night_keeps_that_night():
    one = office(3)
    for signal in (Signal.SM_ACTIVITY, Signal.GPU_UTIL, Signal.POWER, Signal.DRAM_ACTIVITY):
        one.samples[signal][2 * WEEK + 2 * HOUR] = 0.9 if signal is not Signal.POWER else 350.0
    before = stop_at_hours(case(office(3), NOTEBOOK)).change.spans
    after = stop_at_hours(case(one, NOTEBOOK)).change.spans
    assert sum(b - a for a, b in after) < sum(b - a for a, b in before)


def test_an_endpoint_is_not_stopped_by_the_hour():
    assert reason(stop_at_hours(case(office(3)))) is Reason.IS_A_SERVICE
