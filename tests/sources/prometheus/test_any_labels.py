"""I32: whatever labels and values the series of a Prometheus have, reading them ends well."""

from collections.abc import Iterable

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.sources.workloads import inventory, workload

from gpuwise.model.signal import SIGNALS
from gpuwise.model.usage import UsageSeries, Window
from gpuwise.sources.prometheus.settings import PrometheusSettings
from gpuwise.sources.prometheus.usage import PrometheusUsage

WINDOW = Window(1_780_000_000 // 60 * 60, 1_780_000_000 // 60 * 60 + 300, 60)
METRICS = (
    "DCGM_FI_DEV_GPU_UTIL",
    "DCGM_FI_PROF_GR_ENGINE_ACTIVE",
    "DCGM_FI_DEV_POWER_USAGE",
    "DCGM_FI_DEV_FB_USED",
    "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION",
    "gpuwise_gpu_sm_activity_ratio",
    "vllm:num_requests_running",
)
# What exporters use, without the labels that tell clusters apart: several of their values are an error on purpose.
LABELS = st.sampled_from(
    [
        *("namespace", "exported_namespace", "pod", "exported_pod", "container", "pod_uid", "node", "instance", "job"),
        *("UUID", "uuid", "gpu_uuid", "gpu", "device", "GPU_I_ID", "GPU_I_PROFILE", "mig_profile", "vgpu"),
        *("modelName", "Hostname", "engine", "le", "_", "a1"),
    ]
)
VALUES = st.sampled_from(["research", "trainer-0", "GPU-a", "node-a", "0", "NVIDIA A100-SXM4-80GB", "1g.10gb", ""])
SETS = st.dictionaries(LABELS, VALUES | st.text(max_size=6), max_size=8)
OWN = {"namespace": "research", "pod": "trainer-0"}
NUMBERS = st.sampled_from(["0", "0.5", "1", "100", "101", "330.5", "1e15", "NaN", "+Inf", "-Inf", "-1", "1e-320"])


def at(step: int) -> float:
    return WINDOW.start_s + (step + 1) * WINDOW.step_s - 0.001


@st.composite
def answers(draw: st.DrawFn) -> dict[str, list[dict[str, object]]]:
    """By metric, series as Prometheus returns them: no two with the same labels, samples in the order of time."""
    found: dict[str, list[dict[str, object]]] = {}
    for metric in draw(st.lists(st.sampled_from(METRICS), min_size=1, max_size=4, unique=True)):
        sets = draw(
            st.lists(
                SETS | SETS.map(lambda one: one | OWN), max_size=4, unique_by=lambda one: tuple(sorted(one.items()))
            )
        )
        found[metric] = [
            {
                "metric": labels,
                "values": [[at(step), draw(NUMBERS)] for step in sorted(draw(st.sets(st.integers(0, 4))))],
            }
            for labels in sets
        ]
    return found


def source(series: dict[str, list[dict[str, object]]]) -> PrometheusUsage:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith(("/values", "/labels")):
            return httpx.Response(200, json={"status": "success", "data": list(METRICS)})
        query = httpx.QueryParams(request.content.decode()).get("query", "")
        chosen = [one for metric, rows in series.items() if metric in query for one in rows]
        # A query's result has each set of labels once.
        once = {tuple(sorted(one["metric"].items())): one for one in chosen}  # type: ignore[attr-defined]
        return httpx.Response(
            200, json={"status": "success", "data": {"resultType": "matrix", "result": list(once.values())}}
        )

    given_settings = PrometheusSettings("http://prometheus", backoff_s=0.0, read="query-range")
    return PrometheusUsage(given_settings, transport=httpx.MockTransport(answer))


def assert_possible(found: Iterable[UsageSeries]) -> int:
    """Every value is in the range of its signal, or missing; returns the number of devices."""
    devices = [device for series in found for device in series.devices]
    for device in devices:
        for signal, values in device.samples.items():
            known = values[~np.isnan(values)]
            assert np.all((known >= 0.0) & (known <= SIGNALS[signal].highest)), signal
    return len(devices)


@pytest.mark.filterwarnings("error")
@settings(max_examples=75, deadline=None)
@given(answers())
def test_i32_any_labels_and_values_of_series(series):
    one = workload("trainer-0")
    fleet = inventory(one)
    usage = source(series)
    assert_possible(usage.read([one], fleet, WINDOW))
    assert_possible(usage.read_nodes(list(fleet.nodes.values()), fleet, WINDOW))


def test_the_series_of_the_workload_are_read():
    """The stub answers as Prometheus does: what is fuzzed above is read."""
    one = workload("trainer-0")
    row = {"metric": OWN | {"UUID": "GPU-a"}, "values": [[at(0), "0.5"]]}
    series = {"DCGM_FI_DEV_GPU_UTIL": [row], "DCGM_FI_PROF_GR_ENGINE_ACTIVE": [row]}
    assert assert_possible(source(series).read([one], inventory(one), WINDOW)) == 1
