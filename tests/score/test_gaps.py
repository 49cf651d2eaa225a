"""Gaps between requests from stored hours: the step that the samples support, and missing samples."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.scored import profile
from tests.series import DAY_STEPS, STEP_S, device, usage
from tests.usages import SCRAPES, usages

from gpuwise.model.usage import SCRAPE_S
from gpuwise.score.settings import ScoreSettings

STEPS = 2 * DAY_STEPS
FINE = STEPS * SCRAPES
HOURLY = np.arange(FINE) % (3600 // SCRAPE_S) == 0
"""A request in the first 30 s of each hour."""


def gaps(scraped=None, requests=None):
    coarse = np.zeros(STEPS) if requests is None else requests
    return profile(replace(usage(device(STEPS), requests=coarse), scraped_requests=scraped), ScoreSettings()).gaps


def test_gaps_are_known_to_the_step_of_the_scrapes():
    found = gaps(HOURLY.astype(float))
    assert found.step_s == SCRAPE_S
    assert set(found.lasted_s.tolist()) == {3600 - SCRAPE_S}
    assert (found.since_s[:2].tolist(), found.since_s.size) == ([SCRAPE_S, 3600 + SCRAPE_S], 48)


@pytest.mark.parametrize("interval_s", [30, 60, 120, 300])
def test_a_longer_scrape_interval_gives_longer_steps_and_no_false_ends(interval_s):
    """A counter that is sampled every two minutes has a value in each fourth step of 30 s."""
    scraped = np.where(np.arange(FINE) % (interval_s // SCRAPE_S) == 0, HOURLY.astype(float), np.nan)
    found = gaps(scraped)
    assert found.step_s == interval_s
    assert set(found.lasted_s.tolist()) == {3600 - interval_s}
    assert found.unknown_s == 0


def test_late_scrapes_do_not_end_gaps_and_an_outage_does():
    scraped = HOURLY.astype(float)
    scraped[np.random.default_rng(0).random(FINE) < 0.02] = np.nan  # one in fifty is late
    scraped[HOURLY] = 1.0
    late = gaps(scraped)
    assert (late.step_s, set(late.lasted_s.tolist())) == (60, {3540})
    scraped = HOURLY.astype(float)
    scraped[100:140] = np.nan  # 20 minutes
    outage = gaps(scraped)
    assert (outage.step_s, outage.unknown_s) == (30, 40 * SCRAPE_S)
    assert outage.since_s[:3].tolist() == [SCRAPE_S, 140 * SCRAPE_S, 241 * SCRAPE_S]
    assert outage.lasted_s[:3].tolist() == [99 * SCRAPE_S, 100 * SCRAPE_S, 119 * SCRAPE_S]


def test_without_closer_samples_the_windows_steps_are_used():
    found = gaps(requests=(np.arange(STEPS) % 12 == 0).astype(float))
    assert (found.step_s, set(found.lasted_s.tolist())) == (STEP_S, {3300})


def test_time_before_the_first_pod_is_not_a_gap():
    """Without a pod no request arrives, and a source reports 0; the endpoint may not have existed."""
    one = device(STEPS)
    for column in one.samples.values():
        column[:DAY_STEPS] = np.nan
    series = replace(usage(one, requests=np.zeros(STEPS)), scraped_requests=HOURLY * (np.arange(FINE) >= FINE // 2))
    for scraped in (series.scraped_requests.astype(float), None):
        found = profile(replace(series, scraped_requests=scraped), ScoreSettings()).gaps
        assert found.start_s == DAY_STEPS * STEP_S
        assert found.unknown_s == 0


def test_without_requests_there_are_no_gaps():
    assert profile(usage(device(STEPS)), ScoreSettings()).gaps is None


@given(usages(), st.integers(0, 2**32 - 1))
def test_fewer_scrapes_never_add_silent_time(series, seed):
    if series.scraped_requests is None:
        return
    lost = np.random.default_rng(seed).random(series.scraped_requests.size) < 0.1
    fewer = replace(series, scraped_requests=np.where(lost, np.nan, series.scraped_requests))
    before, after = (profile(one, ScoreSettings()).gaps for one in (series, fewer))
    if after.step_s == before.step_s:
        assert after.lasted_s.sum() <= before.lasted_s.sum()
