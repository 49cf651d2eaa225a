"""Requests from the metrics of servers: counters by their increase, gauges by their value; no sample is not zero."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gpuwise.model.usage import Window
from gpuwise.sources.prometheus.requests import Requests
from gpuwise.sources.prometheus.series import GridSeries

NAN = float("nan")
LEAD = Window(0, 360, 60)


def rate(**series: list[float]) -> list[float]:
    """Requests per minute of one pod, by metric; "a__1" is a second series of a."""
    requests = Requests(LEAD)
    for number, (name, values) in enumerate(series.items()):
        labels = {"__name__": name.partition("__")[0].replace("vllm_", "vllm:"), "series": str(number)}
        requests.add(GridSeries(labels, np.array(values, dtype=float)))
    return list(requests.per_second() * 60)


@pytest.mark.parametrize(
    ("series", "expected"),
    [
        ({"nv_inference_request_success": [5, 5, 8, 8, 9, 9]}, [0, 3, 0, 1, 0]),
        ({"nv_inference_request_success": [5, 9, 2, 2, 3, 3]}, [4, 2, 0, 1, 0]),  # the counter was reset
        ({"nv_inference_request_success": [5, NAN, NAN, 9, 9, NAN]}, [NAN, NAN, 4, 0, NAN]),  # a gap is not 0
        ({"nv_inference_request_success": [NAN, NAN, 7, 7, 8, 8]}, [NAN, NAN, 0, 1, 0]),  # when it reached 7 is unknown
        (
            {"tgi_request_count": [NAN, NAN, NAN, 2, 2, 3], "tgi_queue_size": [0, 0, 0, 0, 0, 0]},
            [0, 0, 2, 0, 1],  # the counter did not exist before its first request
        ),
        ({"vllm_num_requests_waiting": [0, 0, 4, 0, NAN, 0]}, [0, 4, 0, NAN, 0]),
        ({"vllm_num_requests_running": [0] * 6, "vllm_num_requests_waiting": [0, 2, 0, 0, 0, 0]}, [2, 0, 0, 0, 0]),
        ({"vllm_num_requests_running": [0] * 6, "vllm_kv_cache_usage_perc": [0, 0.5, 0.001, 0, 0, 0]}, [1, 0, 0, 0, 0]),
        ({"vllm_gpu_cache_usage_perc": [0, 0.5, 0.001, 0, 0, 0]}, [1, NAN, 0, 0, 0]),
        (
            {"vllm_num_requests_running": [0] * 6, "vllm_generation_tokens_total": [9, 9, 80, 80, 80, 80]},
            [0, 1, 0, 0, 0],
        ),
        (
            {"vllm_request_success_total": [1, 2, 3, 4, 5, 6], "vllm_request_success_total__1": [0, 1, NAN, 2, 3, 4]},
            [2, 1, 2, 2, 2],
        ),
        ({"vllm_num_requests_running": [0, -1, 4294967295e9, float("inf"), NAN, 2]}, [NAN, NAN, NAN, NAN, 2]),
    ],
)
def test_requests_per_metric(series, expected):
    np.testing.assert_allclose(rate(**series), expected)


grids = arrays(float, 6, elements=st.just(NAN) | st.floats(0, 100))


@given(grids, grids, st.integers(0, 5))
def test_i3_a_missing_sample_never_makes_a_step_look_idle(counter, gauge, gone):
    """A step with requests keeps them or becomes unknown; only the next increase may grow."""
    whole = np.array(rate(nv_inference_request_success=list(counter), nv_inference_pending_request_count=list(gauge)))
    fewer = gauge.copy()
    fewer[gone] = NAN
    less = np.array(rate(nv_inference_request_success=list(counter), nv_inference_pending_request_count=list(fewer)))
    quiet = less == 0.0
    assert not np.any(quiet & ~(whole == 0.0) & ~np.isnan(whole))
