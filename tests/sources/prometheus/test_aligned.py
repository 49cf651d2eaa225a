"""Servers that round the times of a range query, or leave some out: every step has its value or is unknown."""

import json
import time
from collections.abc import Callable

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.given_cases import given_case
from tests.prometheus_server import NEEDS_PROMETHEUS, openmetrics
from tests.sources.workloads import inventory, workload

from gpuwise.model.errors import SourceError
from gpuwise.model.signal import Signal
from gpuwise.model.usage import UsageSeries, Window
from gpuwise.sources.prometheus.client import Series
from gpuwise.sources.prometheus.samples import on_grid
from gpuwise.sources.prometheus.series import Reduce
from gpuwise.sources.prometheus.settings import PrometheusSettings
from gpuwise.sources.prometheus.usage import PrometheusUsage

from .fronts import Front, parameters_of, path_of, without
from .test_source import DCGM
from .victoria_metrics import NEEDS_VICTORIA, load, victoria

UTIL = "DCGM_FI_DEV_GPU_UTIL"
STEP_S = 300
DAY = Window(1_779_667_200, 1_779_753_600, STEP_S)
"""The window of the case: it asked for 1779667499.999 to 1779753599.999 and was answered to 1779753300."""

Rounding = Callable[[float, float, int], tuple[float, float]]


def rounded(start_s: float, end_s: float, step_s: int, *, up: tuple[bool, bool]) -> tuple[float, float]:
    start, end = (-(-at // step_s) if high else at // step_s for at, high in zip((start_s, end_s), up, strict=True))
    return start * step_s, end * step_s


def victoria_metrics(start_s: float, end_s: float, step_s: int) -> tuple[float, float]:
    """AdjustStartEnd in app/vmselect/promql/eval.go: from 50 points on, and the number of points stays."""
    points = (end_s - start_s) // step_s + 1
    if points < 50:
        return start_s, end_s
    start, end = rounded(start_s, end_s, step_s, up=(False, True))
    return start, min(end, start + (points - 1) * step_s)


ROUNDINGS: dict[str, Rounding] = {
    "Thanos' and Cortex' query front ends round both down": lambda *a: rounded(*a, up=(False, False)),
    "the start down, the end up": lambda *a: rounded(*a, up=(False, True)),
    "both up": lambda *a: rounded(*a, up=(True, True)),
    "VictoriaMetrics": victoria_metrics,
    "points before and after": lambda start, end, step: (start - 3 * step, end + 3 * step),
}


def rewriting(change: Rounding, step_s: int | None = None) -> Front:
    """A front that asks for other times than it was asked for."""
    front = Front(without("read"))

    def rule(request: httpx.Request) -> httpx.Response | None:
        if path_of(request) != "query_range":
            return None
        asked = dict(parameters_of(request))
        start_s, end_s = change(float(asked["start"]), float(asked["end"]), int(asked["step"]))
        form = asked | {"start": str(start_s), "end": str(end_s), "step": str(step_s or asked["step"])}
        with httpx.Client(transport=httpx.HTTPTransport()) as client:
            answer = client.post(str(request.url), data=form)
        return httpx.Response(answer.status_code, content=answer.content)

    front.rules = (*front.rules, rule)
    return front


def read(url: str, front: Front | None = None, window: Window = DAY) -> UsageSeries:
    one = workload("trainer-0")
    usage = PrometheusUsage(PrometheusSettings(url, read="query-range", backoff_s=0.0), transport=front)
    (found,) = usage.read([one], inventory(one), window)
    return found


def values(found: UsageSeries) -> np.ndarray:
    (device,) = found.devices
    return np.asarray(device.samples[Signal.GPU_UTIL])


RAMP = np.arange(DAY.steps) % 100 / 100


@pytest.fixture
def ramp(start_prometheus) -> str:
    """A value of its own in each step, in its middle, so that a shift by any part of a step would show."""
    return start_prometheus(
        series=openmetrics(UTIL, DCGM, {DAY.start_s + i * STEP_S + 150: v * 100 for i, v in enumerate(RAMP.tolist())})
    )


@NEEDS_PROMETHEUS
@pytest.mark.parametrize("name", ROUNDINGS)
def test_a_server_that_rounds_times_gives_every_step_its_value(ramp, name):
    front = rewriting(ROUNDINGS[name])
    np.testing.assert_allclose(values(read(ramp, front)), RAMP)
    assert front.refused > 0


@NEEDS_PROMETHEUS
def test_incident_victoriametrics_563_the_case_aligned_ranges_is_read_to_its_last_step(ramp):
    """The window of the case is asked for at times that its server's rounding does not change."""
    case = json.loads((given_case("reading", "aligned-ranges") / "ask.json").read_text())
    step_s, last_s = case["asked"]["step"], case["asked"]["end"] + 0.001
    assert (case["asked"]["start"] + 0.001 - step_s, last_s, step_s) == (DAY.start_s, DAY.end_s, DAY.step_s)
    both_down = ROUNDINGS["Thanos' and Cortex' query front ends round both down"]
    asked = case["asked"]["start"], case["asked"]["end"], step_s
    assert both_down(*asked) == (case["answered_from"], case["answered_to"])
    front = rewriting(both_down)
    found = values(read(ramp, front))
    np.testing.assert_allclose(found, RAMP)
    assert not np.isnan(found[-1])
    for path, form in front.asked:
        if path == "query_range":
            assert (float(form["start"]) % float(form["step"]), float(form["end"]) % float(form["step"])) == (0, 0)


@NEEDS_PROMETHEUS
def test_history_younger_than_the_window_keeps_its_last_step(start_prometheus):
    """No sample of the first steps: the rounding once lost the last step without an error."""
    young = {DAY.start_s + i * STEP_S + 150: v * 100 for i, v in enumerate(RAMP.tolist()) if i >= 100}
    url = start_prometheus(series=openmetrics(UTIL, DCGM, young))
    found = values(read(url, rewriting(ROUNDINGS["VictoriaMetrics"])))
    np.testing.assert_allclose(found, np.where(np.arange(DAY.steps) >= 100, RAMP, np.nan))


@NEEDS_PROMETHEUS
def test_a_server_that_answers_in_shorter_steps_gives_every_step_its_value(ramp):
    np.testing.assert_allclose(values(read(ramp, rewriting(lambda start, end, _: (start, end), 60))), RAMP)


@NEEDS_PROMETHEUS
def test_a_server_that_answers_in_longer_steps_leaves_the_others_unknown(ramp):
    found = values(read(ramp, rewriting(lambda start, end, _: (start, end), 600)))
    known = ~np.isnan(found)
    np.testing.assert_allclose(found[known], RAMP[known])
    assert known.sum() == DAY.steps // 2


@NEEDS_PROMETHEUS
def test_a_server_that_leaves_out_the_last_points_leaves_them_unknown(ramp):
    last_s = DAY.end_s - 2 * STEP_S
    found = values(read(ramp, rewriting(lambda start, end, _: (min(start, last_s), min(end, last_s)))))
    np.testing.assert_allclose(found, np.where(np.arange(DAY.steps) < DAY.steps - 2, RAMP, np.nan))


@NEEDS_PROMETHEUS
def test_a_server_that_evaluates_between_the_steps_gives_the_busier_of_both_or_unknown(ramp):
    found = values(read(ramp, rewriting(lambda start, end, _: (start - 100, end - 100))))
    known = ~np.isnan(found)
    assert known.sum() == DAY.steps - 1
    assert (found[known] >= RAMP[known] - 1e-9).all()


SMALL = Window(1_780_000_200, 1_780_000_200 + 20 * 60, 60)


busy_seconds = st.sets(st.integers(0, SMALL.seconds - 1), max_size=6)
left_out = st.sets(st.integers(0, 150), max_size=10)


@settings(deadline=None)
@given(busy_seconds, left_out, st.integers(-90, 90), st.sampled_from([1, 7, 20, 30, 45, 60, 61, 90, 120]))
def test_i1_no_shift_no_spacing_and_no_missing_point_makes_a_step_less_busy(busy, missing, shift_s, spacing_s):
    """The law of on_grid: a known step is at least as busy as its seconds were."""
    seconds = np.zeros(SMALL.seconds)
    seconds[list(busy)] = 1.0
    at_s = np.arange(SMALL.start_s + shift_s, SMALL.end_s + 90, spacing_s, dtype=float)
    at_s = np.delete(at_s, [i for i in missing if i < at_s.size])

    def over(at: float) -> float:
        """The highest value of the step before a time, as a server computes it; beyond the window nothing is known."""
        first, last = int(at - SMALL.step_s - SMALL.start_s), int(at - SMALL.start_s)
        inside = seconds[max(0, first) : max(0, last)]
        return float(inside.max()) if inside.size else float("nan")

    grid = on_grid(Series({}, at_s, np.array([over(at) for at in at_s], dtype=float)), SMALL)
    if grid is not None:
        truth = seconds.reshape(SMALL.steps, SMALL.step_s).max(axis=1)
        assert (np.isnan(grid) | (grid >= truth)).all()


def at_steps(*steps: float) -> np.ndarray:
    return SMALL.start_s + np.array(steps) * SMALL.step_s


def test_a_minimum_counts_by_its_smaller_neighbour():
    grid = on_grid(Series({}, at_steps(0.5, 1.5, 2.5), np.array([7.0, 3.0, 5.0])), SMALL, Reduce.MIN)
    assert grid is not None
    assert grid[:2].tolist() == [3.0, 3.0]
    assert np.isnan(grid[2:]).all()


def test_a_time_that_is_sent_twice_counts_by_its_busier_value():
    grid = on_grid(Series({}, at_steps(1, 1, 2), np.array([0.2, 0.9, 0.1])), SMALL)
    assert grid is not None
    assert grid[:2].tolist() == [0.9, 0.1]


def test_neighbours_that_leave_a_gap_between_them_leave_the_step_unknown():
    grid = on_grid(Series({}, at_steps(0.5, 1.6, 2.5), np.array([0.0, 0.0, 0.0])), SMALL)
    assert grid is not None
    assert np.isnan(grid[0])
    assert grid[1] == 0.0


def test_a_neighbour_without_a_value_leaves_the_step_unknown():
    grid = on_grid(Series({}, at_steps(0.5, 1.5, 2.5), np.array([float("nan"), 0.0, 0.0])), SMALL)
    assert grid is not None
    assert np.isnan(grid[0])
    assert grid[1] == 0.0


def test_samples_of_other_times_only_are_no_samples_of_the_window():
    for at in (at_steps(-5, 0), at_steps(21, 30), at_steps(3.5), np.array([])):
        assert on_grid(Series({}, at, np.zeros(at.size)), SMALL) is None


def test_a_time_that_is_not_a_number_is_an_error():
    with pytest.raises(SourceError, match="not requested"):
        on_grid(Series({}, np.array([float("inf")]), np.zeros(1)), SMALL)


@NEEDS_VICTORIA
@pytest.mark.parametrize("first", [0, 100])
def test_a_real_victoriametrics_gives_every_step_its_value(tmp_path, first):
    """With history that is older and that is younger than the window."""
    every = range(-50 if first == 0 else first, DAY.steps)
    samples = {DAY.start_s + i * STEP_S + 150: RAMP[i % DAY.steps] * 100 for i in every}
    with victoria(tmp_path) as url:
        load(url, {"__name__": UTIL} | DCGM, samples)
        found = values(read(url))
    np.testing.assert_allclose(found, np.where(np.arange(DAY.steps) >= first, RAMP, np.nan))


@NEEDS_VICTORIA
def test_a_real_victoriametrics_up_to_now_has_the_last_whole_step(tmp_path):
    now_s = int(time.time())
    end_s = now_s - now_s % STEP_S
    window = Window(end_s - 100 * STEP_S, end_s, STEP_S)
    with victoria(tmp_path) as url:
        load(url, {"__name__": UTIL} | DCGM, dict.fromkeys(range(window.start_s, now_s, 60), 50.0))
        np.testing.assert_allclose(values(read(url, window=window)), 0.5)
