"""IdleBetweenUses: an endpoint is stopped between two uses if that costs less."""

from dataclasses import replace

import numpy as np
import pytest
from tests.cases import WEEK, case, reason
from tests.fleet import pod, workload
from tests.series import STEP_S, device, usage

from gpuwise.model.findings import Finding
from gpuwise.model.inventory import Start, WorkloadClass
from gpuwise.model.reasons import Reason
from gpuwise.model.usage import SCRAPE_S
from gpuwise.recommend.methods.idle_between_uses import stop_when_idle

BUSY = tuple(step for step in range(WEEK) if step // 12 % 6 == 0)
"""An endpoint that works one hour in six, with a request in every step at work."""
KEDA = "spec.cooldownPeriod of ScaledObject/chat"
SCRAPES = STEP_S // SCRAPE_S


def requested(busy):
    return np.isin(np.arange(WEEK), busy).astype(float)


def judged(busy=BUSY, requests="at work", scraped=None, **changes):
    known = requested(busy) if requests == "at work" else requests
    changes.setdefault("subject", workload(activator=KEDA))
    series = replace(usage(device(WEEK, busy=busy), requests=known), scraped_requests=scraped)
    return stop_when_idle(case(series, **changes))


def number(found, text):
    return next(one.value for one in found.evidence if text in one.text)


def test_long_idle_gaps_are_worth_stopping_for():
    found = judged()
    assert found.finding is Finding.IDLE_BETWEEN_USES
    # Idle for five hours of six, minus 1200 s per gap for the wait and the start.
    saved = (5 - 1 / 3) / 6
    assert found.saving.usd_month == pytest.approx(3.0 * 730 * saved, rel=0.01)
    assert 0 < found.saving.low_usd_month <= found.saving.usd_month
    assert found.reasons == (Reason.REST_LONGER_THAN_START,)


def test_short_idle_gaps_are_not_worth_stopping_for():
    busy = tuple(step for step in range(WEEK) if step % 6 < 2)  # idle for 20 minutes: as long as a wait and a start
    assert reason(judged(busy)) is Reason.STEADILY_USED


def test_without_known_requests_nothing_is_recommended():
    assert reason(judged(requests=None)) is Reason.INSUFFICIENT_DATA


def test_a_single_sample_is_no_time_whatever_the_least_is():
    one = case(replace(usage(device(WEEK, busy=BUSY)), requests_per_second=requested(BUSY)), workload(activator=KEDA))
    settings = replace(one.settings, min_observed_h=0)
    least = replace(one, profile=replace(one.profile, observed_s=0), fleet=replace(one.fleet, settings=settings))
    assert reason(stop_when_idle(least)) is Reason.INSUFFICIENT_DATA


def test_only_an_endpoint_is_started_by_a_request():
    subject = workload(workload_class=WorkloadClass.TRAINING)
    assert reason(judged(subject=subject)) is Reason.NOT_APPLICABLE


def test_the_replayed_saving_is_the_low_end_and_below_the_idle_time():
    found = judged()
    replayed = number(found, "this wait would have saved")
    assert found.saving.low_usd_month == pytest.approx(3.0 * 730 * min(replayed, number(found, "stopping would save")))
    assert replayed < number(found, "time in idle gaps")


def test_the_wait_follows_from_the_endpoints_own_gaps():
    """An endpoint whose users pause for 5 minutes is kept through the pauses; one without pauses is not."""
    sessions = requested(BUSY).repeat(SCRAPES)
    pauses = sessions * (np.arange(sessions.size) % 30 < 20)  # ten minutes with requests, then five without
    steady, pausing = judged(scraped=sessions), judged(scraped=pauses)
    assert steady.change.after_s < 120
    assert 330 <= pausing.change.after_s <= 400  # the true pauses are 5 to 6 minutes


def test_with_steps_of_five_minutes_it_says_so_and_waits_for_one_at_least():
    coarse, fine = judged(), judged(scraped=requested(BUSY).repeat(SCRAPES))
    assert number(coarse, "gaps are known to") == 300
    assert coarse.change.after_s >= 300
    assert number(fine, "gaps are known to") == 30


def test_it_says_how_good_the_wait_was_and_how_bad_it_can_be():
    found = judged(scraped=requested(BUSY).repeat(SCRAPES))
    cost_s, wait_s = 600.0, found.change.after_s
    assert number(found, "in the past from which the wait was chosen") < 1.2
    assert number(found, "of this constant wait at most, for any gaps") == pytest.approx(
        (wait_s + cost_s) / min(cost_s, max(wait_s, 30))
    )


def test_a_cold_start_costs_what_the_pods_took_and_the_wait_of_the_users():
    took_s = (40, 80, 700)
    pods = tuple(replace(pod(f"chat-{took}"), start=Start(0, took)) for took in took_s)
    subject = workload(pods=pods, activator=KEDA)
    one = case(usage(device(WEEK, busy=BUSY), requests=requested(BUSY)), subject=subject)
    seen = replace(one, profile=replace(one.profile, starts=tuple(Start(0, took) for took in took_s)))
    found = stop_when_idle(seen)
    assert number(found, "80 s until ready, the median of 3 starts, and 300 s for the users who wait") == 380.0
    assert number(stop_when_idle(one), "no start of its pods was seen") == 600.0


def test_with_an_activator_it_says_where_the_wait_is_set():
    found = judged()
    assert number(found, f"to be set in {KEDA}") == found.change.after_s


def test_where_nothing_starts_it_one_stop_a_day_counts():
    """Four gaps of five hours a day: one of them is saved."""
    found = judged(subject=workload())
    assert found.reasons == (Reason.REST_LONGER_THAN_START, Reason.NOTHING_STARTS_IT)
    assert "once per cool-down" in found.evidence[-1].text
    assert found.saving.usd_month == pytest.approx(judged().saving.usd_month / 4, rel=0.01)
    assert found.saving.low_usd_month <= found.saving.usd_month


def test_missing_scrapes_neither_shorten_the_wait_nor_add_to_the_saving():
    whole = requested(BUSY).repeat(SCRAPES)
    for seed, share in enumerate((0.001, 0.01, 0.1, 0.5)):
        lost = np.where(np.random.default_rng(seed).random(whole.size) < share, np.nan, whole)
        less, more = judged(scraped=lost), judged(scraped=whole)
        assert less.change.after_s >= more.change.after_s
        assert less.saving.low_usd_month <= more.saving.low_usd_month
