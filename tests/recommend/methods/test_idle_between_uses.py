"""IdleBetweenUses: an endpoint is stopped between two uses where that costs less."""

import numpy as np
import pytest
from tests.cases import WEEK, case, reason
from tests.fleet import workload
from tests.series import device, usage

from gpuwise.model.findings import Finding
from gpuwise.model.inventory import WorkloadClass
from gpuwise.model.reasons import Reason
from gpuwise.recommend.methods.idle_between_uses import stop_when_idle

"""An endpoint that works for an hour every six, a request in every step at work."""

BUSY = tuple(step for step in range(WEEK) if step // 12 % 6 == 0)


def asked(busy):
    return np.isin(np.arange(WEEK), busy).astype(float)


def judged(busy, requests="asked", **about):
    known = asked(busy) if requests == "asked" else requests
    return stop_when_idle(case(usage(device(WEEK, busy=busy), requests=known), **about))


def test_long_idle_gaps_are_worth_stopping_for():
    found = judged(BUSY)
    assert found.finding is Finding.IDLE_BETWEEN_USES
    # Five hours of six idle, less 1200 s per gap for the wait and the start.
    saved = (5 - 1 / 3) / 6
    assert found.saving.usd_month == pytest.approx(3.0 * 730 * saved, rel=0.01)
    assert 0 < found.saving.low_usd_month <= found.saving.usd_month
    assert found.change.after_s == 900  # its gaps are long: the shortest wait


def test_short_idle_gaps_are_not():
    busy = tuple(step for step in range(WEEK) if step % 6 < 2)  # 20 minutes idle: a wait and a start
    assert reason(judged(busy)) is Reason.STEADILY_USED


def test_without_requests_nobody_would_start_it_again():
    assert reason(judged(BUSY, requests=None)) is Reason.INSUFFICIENT_DATA


def test_only_what_is_asked_for_is_started_by_a_request():
    subject = workload(workload_class=WorkloadClass.TRAINING)
    assert reason(judged(BUSY, subject=subject)) is Reason.NOT_APPLICABLE


def test_the_replay_is_that_of_the_waits_over_its_own_idle_gaps():
    found = judged(BUSY)
    replayed = next(e.value for e in found.evidence if "replayed" in e.text)
    rest = next(e.value for e in found.evidence if "time at rest" in e.text)
    assert found.saving.low_usd_month == pytest.approx(3.0 * 730 * min(replayed, found.evidence[3].value))
    assert replayed < rest
