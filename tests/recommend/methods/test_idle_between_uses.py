"""IdleBetweenUses: an endpoint is stopped between two uses if that costs less."""

import numpy as np
import pytest
from tests.cases import WEEK, case, reason
from tests.fleet import workload
from tests.series import device, usage

from gpuwise.model.findings import Finding
from gpuwise.model.inventory import WorkloadClass
from gpuwise.model.reasons import Reason
from gpuwise.recommend.methods.idle_between_uses import stop_when_idle

BUSY = tuple(step for step in range(WEEK) if step // 12 % 6 == 0)
"""An endpoint that works one hour in six, with a request in every step at work."""


def requested(busy):
    return np.isin(np.arange(WEEK), busy).astype(float)


def judged(busy, requests="at work", **changes):
    known = requested(busy) if requests == "at work" else requests
    return stop_when_idle(case(usage(device(WEEK, busy=busy), requests=known), **changes))


def test_long_idle_gaps_are_worth_stopping_for():
    found = judged(BUSY)
    assert found.finding is Finding.IDLE_BETWEEN_USES
    # Idle for five hours of six, minus 1200 s per gap for the wait and the start.
    saved = (5 - 1 / 3) / 6
    assert found.saving.usd_month == pytest.approx(3.0 * 730 * saved, rel=0.01)
    assert 0 < found.saving.low_usd_month <= found.saving.usd_month
    assert found.change.after_s == 900  # the gaps are long, so the wait is the shortest


def test_short_idle_gaps_are_not_worth_stopping_for():
    busy = tuple(step for step in range(WEEK) if step % 6 < 2)  # idle for 20 minutes: as long as a wait and a start
    assert reason(judged(busy)) is Reason.STEADILY_USED


def test_without_known_requests_nothing_is_recommended():
    assert reason(judged(BUSY, requests=None)) is Reason.INSUFFICIENT_DATA


def test_only_an_endpoint_is_started_by_a_request():
    subject = workload(workload_class=WorkloadClass.TRAINING)
    assert reason(judged(BUSY, subject=subject)) is Reason.NOT_APPLICABLE


def test_the_replayed_saving_is_the_low_end_and_below_the_idle_time():
    found = judged(BUSY)
    replayed = next(e.value for e in found.evidence if "replayed" in e.text)
    idle = next(e.value for e in found.evidence if "time in idle gaps" in e.text)
    assert found.saving.low_usd_month == pytest.approx(3.0 * 730 * min(replayed, found.evidence[3].value))
    assert replayed < idle
