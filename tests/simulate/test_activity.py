"""Properties of each behaviour that recommenders rely on, over several seeds."""

import numpy as np
import pytest

from gpuwise.model.usage import Window
from gpuwise.simulate.activity import Clock, activity
from gpuwise.simulate.catalogue import CATALOGUE, Behaviour

WINDOW = Window.ending(1_795_219_200, length_s=14 * 86_400, step_s=60)
CLOCK = Clock.over(WINDOW, 0)
SEEDS = range(5)


def activity_of(behaviour, seed):
    archetype = next(archetype for archetype in CATALOGUE if archetype.behaviour is behaviour)
    return activity(archetype, CLOCK, np.random.default_rng(seed))


@pytest.mark.parametrize("behaviour", Behaviour)
@pytest.mark.parametrize("seed", SEEDS)
def test_every_behaviour_is_within_the_range_of_a_device(behaviour, seed):
    track = activity_of(behaviour, seed)
    for values in (track.util, track.sm, track.memory):
        assert values.shape == (WINDOW.steps,)
        assert values.dtype == np.float32
        assert values.min() >= 0
        assert values.max() <= 1


@pytest.mark.parametrize("seed", SEEDS)
def test_an_uncalled_endpoint_keeps_its_memory(seed):
    track = activity_of(Behaviour.UNCALLED, seed)
    assert track.util.max() == 0
    assert track.requests_per_second.max() == 0
    assert track.memory.min() > 0.1


@pytest.mark.parametrize("seed", SEEDS)
def test_a_forgotten_workload_is_busy_only_at_first(seed):
    track = activity_of(Behaviour.FORGOTTEN, seed)
    assert track.util[:60].mean() > 0.05
    assert track.util[WINDOW.steps // 4 :].max() == 0
    assert track.memory[-1] > 0.1


@pytest.mark.parametrize("seed", SEEDS)
def test_a_stalled_job_shows_full_utilisation_and_no_sm_activity(seed):
    track = activity_of(Behaviour.STALLED, seed)
    tail = slice(int(WINDOW.steps * 0.6), None)
    assert (track.util[tail] == 1).all()
    assert (track.sm[tail] == 0).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_notebooks_are_idle_at_night_and_at_weekends(seed):
    track = activity_of(Behaviour.OFFICE, seed)
    off = ~CLOCK.workday | (CLOCK.hour < 7) | (CLOCK.hour > 21)
    assert track.util[off].max() == 0
    assert track.util[~off].mean() > 0.02


@pytest.mark.parametrize("seed", SEEDS)
def test_traffic_peaks_by_day_and_requests_follow_the_load(seed):
    track = activity_of(Behaviour.SERVING, seed)
    night = (CLOCK.hour > 1) & (CLOCK.hour < 5)
    noon = (CLOCK.hour > 12) & (CLOCK.hour < 16)
    assert track.util[noon].mean() > 1.5 * track.util[night].mean()
    assert np.corrcoef(track.util, track.requests_per_second)[0, 1] > 0.95


def test_the_clock_has_weekends_and_time_zones():
    # The window ends on Saturday 2026-11-21, 00:00 UTC; five days before its last hour it is Sunday.
    assert CLOCK.workday[-60]
    assert not CLOCK.workday[-60 - 5 * 1440]
    assert Clock.over(WINDOW, -8).hour[0] == 16
