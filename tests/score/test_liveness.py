"""An exporter that serves an old page has not measured (I29); an idle GPU at constant power has been."""

from dataclasses import replace

import numpy as np
import pytest
from tests.scored import profile, spans_of
from tests.series import DAY_STEPS, STEP_S, device, usage

from gpuwise.model.signal import Signal
from gpuwise.model.usage import DeviceSeries, Window
from gpuwise.score.grid import grid_of
from gpuwise.score.hours import hours_of, join
from gpuwise.score.liveness import frozen_hours
from gpuwise.score.settings import ScoreSettings

STEPS = 2 * DAY_STEPS
SETTINGS = ScoreSettings()


def idle(*, watts=60.0, heartbeats=()):
    one = device(STEPS)
    one.samples[Signal.POWER][:] = watts
    return replace(one, heartbeats=heartbeats)


def energy(*, stops_at=STEPS):
    """A counter at 60 W that stops."""
    return 1e9 + 60.0 * STEP_S * np.minimum(np.arange(STEPS), stops_at)


def agreeing(one):
    return profile(usage(one), SETTINGS).idle.agreeing_sensors


def test_i29_an_energy_counter_that_stands_still_is_no_sensor():
    assert agreeing(idle(heartbeats=(energy(stops_at=0),))) == 0


def test_i29_a_timestamp_that_stands_still_is_no_sensor():
    assert agreeing(idle(heartbeats=(energy(), np.full(STEPS, 1.7e9)))) == 0


def test_i29_a_page_whose_power_repeats_to_the_milliwatt_is_no_sensor():
    assert agreeing(idle(watts=62.145)) == 0


def test_an_idle_gpu_at_constant_power_is_idle_while_its_energy_counter_advances():
    assert agreeing(idle(watts=62.145, heartbeats=(energy(),))) == 3


def test_an_idle_gpu_at_a_whole_number_of_watts_is_idle():
    assert agreeing(idle()) == 3


def test_power_that_varies_is_measured():
    watts = 60.0 + np.random.default_rng(7).uniform(0.0, 0.5, STEPS)
    assert agreeing(idle(watts=watts)) == 3


def test_i29_an_exporter_that_froze_a_day_ago_ends_the_idle_time():
    found = profile(usage(idle(heartbeats=(energy(stops_at=DAY_STEPS),))), SETTINGS)
    assert found.idle.since_s is None or found.idle.since_s == 0
    assert found.window.end_s - spans_of(found.idle)[-1][1] >= 23 * 3600


def test_a_counter_that_is_missing_is_no_proof_of_an_old_page():
    counter = energy()
    counter[::2] = np.nan
    counter[DAY_STEPS:] = np.nan
    assert agreeing(idle(heartbeats=(counter,))) == 3


@pytest.mark.parametrize("cut_h", [1, 7, 24, 47])
def test_hours_of_parts_are_the_hours_of_the_whole(cut_h):
    series = usage(idle(watts=62.145, heartbeats=(energy(stops_at=DAY_STEPS - 30),)))
    at = cut_h * 12
    parts = []
    for steps, start, end in ((slice(0, at), 0, at), (slice(at, STEPS), at, STEPS)):
        one = series.devices[0]
        part = replace(
            one,
            samples={signal: column[steps] for signal, column in one.samples.items()},
            heartbeats=tuple(beat[steps] for beat in one.heartbeats),
        )
        window = replace(series.window, start_s=start * STEP_S, end_s=end * STEP_S)
        parts.append(hours_of(replace(series, window=window, devices=(part,)), SETTINGS))
    whole, joined = hours_of(series, SETTINGS), join(*parts)
    for holding, rows in whole.devices.items():
        for name, column in rows.rows.items():
            np.testing.assert_array_equal(joined.devices[holding].rows[name], column)


def test_i29_an_old_page_is_not_alive_because_one_of_its_signals_is_missing():
    """Less data must not look alive (I3): memory is missing for the first hour of two."""
    window = Window(0, 2 * 3_600, 300)
    samples = {signal: np.full(window.steps, 66.8) for signal in (Signal.POWER, Signal.MEMORY_USED)}
    samples[Signal.MEMORY_USED][:12] = np.nan
    found = frozen_hours(DeviceSeries("p", "GPU-0", 1.0, None, None, samples), grid_of(window))
    assert found is not None
    assert list(found) == [True, True]
