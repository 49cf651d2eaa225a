"""Units by HELP text: a unit that all exporters state is used, else the values decide."""

import httpx
import numpy as np
import pytest

from gpuwise.model.signal import Signal
from gpuwise.model.usage import Window
from gpuwise.sources.prometheus.client import PrometheusClient, PrometheusSettings
from gpuwise.sources.prometheus.names import LAST_KERNEL, METRICS, Unit
from gpuwise.sources.prometheus.units import metrics_of, to_base_units

NAN = float("nan")
WINDOW = Window(0, 300, 60)
UTIL, FRAMEBUFFER = "DCGM_FI_DEV_GPU_UTIL_RATIO", "DCGM_FI_DEV_FB_USED_BYTES"


def stated(name: str, answer: httpx.Response):
    """The metric with the unit of a server's metadata."""
    settings = PrometheusSettings("http://prometheus", backoff_s=0.0)
    with PrometheusClient(settings, transport=httpx.MockTransport(lambda _: answer)) as client:
        (metric,) = metrics_of(client, [name], WINDOW)
    return metric


def metadata(name: str, *texts: str) -> httpx.Response:
    entries = [{"type": "gauge", "help": text, "unit": ""} for text in texts]
    return httpx.Response(200, json={"status": "success", "data": {name: entries}})


@pytest.mark.parametrize(
    ("name", "texts", "raw", "expected"),
    [
        (UTIL, ("GPU utilization (in %).",), [0.4, 88, 101], [0.004, 0.88, NAN]),
        (UTIL, ("GPU utilization, percent.",), [0.4, 0.9, 1], [0.004, 0.009, 0.01]),
        (UTIL, ("GPU utilization, as a ratio.",), [0.4, 0.9, 1], [0.4, 0.9, 1.0]),
        (UTIL, ("GPU utilization, as a ratio.",), [0.4, 88, 1], [NAN, 0.88, NAN]),  # it was percent once
        (UTIL, ("GPU utilization (in %).", "GPU utilization, as a ratio."), [0.4, 0.9, 1], [0.4, 0.9, 1.0]),
        (UTIL, (), [0.4, 0.9, 1], [0.4, 0.9, 1.0]),
        (FRAMEBUFFER, ("Framebuffer used (in MiB).",), [1, 2, -1], [2**20, 2**21, NAN]),
        (FRAMEBUFFER, ("Framebuffer used in bytes.",), [1, 2, 2e15], [1, 2, NAN]),
    ],
)
def test_the_help_text_states_the_unit(name, texts, raw, expected):
    window = Window(0, 180, 60)
    values, dropped = to_base_units(np.array(raw), stated(name, metadata(name, *texts)), window)
    np.testing.assert_allclose(values, expected)
    assert list(dropped) == list(np.isnan(expected))


@pytest.mark.parametrize("status", [400, 404, 500])
def test_without_metadata_the_values_decide(status):
    metric = stated(UTIL, httpx.Response(status, content=b"no"))
    assert metric in METRICS
    assert metric.unit is Unit.RATIO_OR_PERCENT


PERCENT = "DCGM_FI_DEV_GPU_UTIL"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ([0, 3, 88, 1], [0, 0.03, 0.88, 0.01]),
        ([0, 0.85, 0.4, 1], [0, 0.85, 0.4, 1.0]),  # Open Data Hub rescales it
        ([0, 0, 0, 0], [0, 0, 0, 0]),
        ([0, 1, 0, 1], [0, NAN, 0, NAN]),  # 1 % or 100 %
        ([0.85, 88, 1, 0], [NAN, 0.88, NAN, 0]),  # it changed
        ([101, -1, 4294967295, 0.5], [NAN, NAN, NAN, 0.5]),
    ],
)
def test_a_name_of_percent_may_hold_a_ratio(raw, expected):
    metric = next(metric for metric in METRICS if metric.name == PERCENT)
    assert metric.unit is Unit.PERCENT_OR_RATIO
    values, _ = to_base_units(np.array(raw, dtype=float), metric, Window(0, 240, 60))
    np.testing.assert_allclose(values, expected)


@pytest.mark.parametrize(
    ("fleet", "unit"),
    [
        ([0, 3, 88, 1], Unit.PERCENT),
        ([0, 0.85, 0.4, 1], Unit.RATIO),  # Open Data Hub rescales it
        ([0, 0.7, 12.5, 88], Unit.PERCENT),  # averages, as by a recording rule
        ([0, 0.85, 88], Unit.PERCENT_OR_RATIO),  # some exporters rescale it, or one did not before an upgrade
        ([0, 1], Unit.PERCENT_OR_RATIO),
        (None, Unit.PERCENT_OR_RATIO),
    ],
)
def test_the_values_of_the_fleet_decide(fleet, unit):
    holds = {
        'DCGM_FI_DEV_GPU_UTIL{cluster="eu1"} > 1)': lambda one: one > 1,
        "> 0 < 1)": lambda one: 0 < one < 1,
        '> 0) and (DCGM_FI_DEV_GPU_UTIL{cluster="eu1"} > 1))': lambda one: one % 1 > 0 and one > 1,
    }

    def answer(request: httpx.Request) -> httpx.Response:
        query = httpx.QueryParams(request.content.decode())["query"]
        asked, _, over = query.partition("[")
        assert over == f"7d:1h] @ {WINDOW.end_s})"
        if fleet is None:
            return httpx.Response(422, json={"status": "error", "error": "no @"})
        condition = next(holds[end] for end in reversed(holds) if asked.endswith(end))
        result = [{"metric": {}, "value": [0, str(one)]} for one in fleet if condition(one)][:1]
        return httpx.Response(200, json={"status": "success", "data": {"resultType": "vector", "result": result}})

    settings = PrometheusSettings("http://prometheus", backoff_s=0.0, matchers={"cluster": "eu1"})
    with PrometheusClient(settings, transport=httpx.MockTransport(answer)) as client:
        (metric,) = metrics_of(client, [PERCENT], WINDOW)
    assert metric.unit is unit


def test_the_last_kernel_is_in_this_step_or_not():
    metric = next(metric for metric in METRICS if metric.name == LAST_KERNEL)
    assert metric.signal is Signal.KERNEL_ACTIVITY
    raw = np.array([0.0, 59.9, 60.0, NAN, 4294967295.0])
    values, dropped = to_base_units(raw, metric, WINDOW)
    np.testing.assert_allclose(values, [1.0, 1.0, 0.0, NAN, NAN])
    assert list(dropped) == [False, False, False, False, True]


def test_without_samples_nothing_is_dropped():
    for metric in METRICS:
        assert not to_base_units(np.full(5, NAN), metric, WINDOW)[1].any()
