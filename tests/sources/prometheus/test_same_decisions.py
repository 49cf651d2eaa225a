"""The same data in Prometheus, by both of its APIs, and in VictoriaMetrics: the same decisions, from the same numbers.

Values have 12 digits at most, because VictoriaMetrics stores decimals and Prometheus binary fractions.
"""

import dataclasses
import json
import math
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.prometheus_server import NEEDS_PROMETHEUS, running

from gpuwise.memory.ledger import SqliteLedger
from gpuwise.memory.profile_file import ProfileFile
from gpuwise.model.signal import Signal
from gpuwise.pipeline import LoopSettings, Pipeline
from gpuwise.schedule.in_process import InProcess
from gpuwise.simulate.fleet import SimulatedFleet, simulate_fleet
from gpuwise.simulate.settings import FleetSettings
from gpuwise.sources.kubernetes.inventory import KubernetesInventory, RecordedObjects
from gpuwise.sources.prices import read_prices
from gpuwise.sources.prometheus.settings import PrometheusSettings, ReadBy
from gpuwise.sources.prometheus.usage import PrometheusUsage

from .victoria_metrics import NEEDS_VICTORIA, victoria

pytestmark = [NEEDS_PROMETHEUS, NEEDS_VICTORIA, pytest.mark.parts]

NOW_S, DAYS, STEP_S = 1_780_272_000, 14, 300
NAMES = {
    Signal.SM_ACTIVITY: "gpuwise_gpu_sm_activity_ratio",
    Signal.TENSOR_ACTIVITY: "gpuwise_gpu_tensor_activity_ratio",
    Signal.DRAM_ACTIVITY: "gpuwise_gpu_dram_activity_ratio",
    Signal.GPU_UTIL: "gpuwise_gpu_utilization_ratio",
    Signal.MEMORY_USED: "gpuwise_gpu_memory_used_bytes",
    Signal.POWER: "gpuwise_gpu_power_watts",
    Signal.POWER_LIMIT: "gpuwise_gpu_power_limit_watts",
}
ENERGY = "gpuwise_gpu_energy_joules_total"
REQUESTS = "tgi_request_count"
STEPS = "trainer_steps_total"
"""The counter that the trainers of the simulated fleet declare."""
Row = tuple[dict[str, str], list[int], list[str]]
"""Labels with the name, times in epoch seconds, and values of at most 12 digits."""


def rows(fleet: SimulatedFleet) -> Iterator[Row]:
    """Each sample lies in the middle of its step."""
    for pod in (*fleet.series(), *fleet.unallocated()):
        times = np.arange(pod.window.start_s, pod.window.end_s, STEP_S) + STEP_S // 2
        for number, device in enumerate(pod.devices):
            labels = {
                "device_uuid": device.device_uuid,
                "gpu": str(number),
                "node": device.node or "",
                "model": device.gpu_type or "",
            }
            labels |= {"namespace": pod.namespace, "pod": device.pod} if device.pod else {}
            for signal, values in device.samples.items():
                yield row(labels | {"__name__": NAMES[signal]}, times, np.asarray(values, dtype=np.float64))
            if Signal.POWER in device.samples:
                watts = np.asarray(device.samples[Signal.POWER], dtype=np.float64)
                yield row(labels | {"__name__": ENERGY}, times, np.where(np.isnan(watts), np.nan, counter(watts)))
        of_pod = {"namespace": pod.namespace, "pod": pod.devices[0].pod or ""}
        if pod.requests_per_second is not None:
            yield row(of_pod | {"__name__": REQUESTS}, times, counter(pod.requests_per_second))
        if pod.work_per_second is not None:
            yield row(of_pod | {"__name__": STEPS}, times, counter(pod.work_per_second))


def counter(per_second: Any) -> Any:
    return np.cumsum(np.round(np.nan_to_num(per_second) * STEP_S))


def row(labels: dict[str, str], times: Any, values: Any) -> Row:
    known = np.isfinite(values)
    return labels, times[known].tolist(), [f"{one:.12g}" for one in values[known].tolist()]


def openmetrics(series: list[Row]) -> str:
    lines: dict[str, list[str]] = {}
    for labels, times, values in series:
        name = labels["__name__"]
        inside = ",".join(f'{key}="{value}"' for key, value in labels.items() if key != "__name__")
        of_name = lines.setdefault(name, [f"# TYPE {name} gauge"])
        of_name += [f"{name}{{{inside}}} {value} {at}" for at, value in zip(times, values, strict=True)]
    return "".join("\n".join(of_name) + "\n" for of_name in lines.values())


def load(url: str, series: list[Row]) -> None:
    """Import everything into a VictoriaMetrics, and make it visible to queries."""
    lines = (
        f'{{"metric":{json.dumps(labels)},"values":[{",".join(values)}],"timestamps":{[at * 1000 for at in times]}}}'
        for labels, times, values in series
    )
    for path, body in (("api/v1/import", "\n".join(lines)), ("internal/force_flush", "")):
        with urllib.request.urlopen(f"{url}/{path}", body.encode(), timeout=120):
            pass


@pytest.fixture
def fleet(tmp_path: Path) -> tuple[SimulatedFleet, Path]:
    """A fleet, and its inventory as a file."""
    made = simulate_fleet(1, NOW_S, FleetSettings(nodes=10, days=DAYS, step_s=STEP_S))
    file = tmp_path / "inventory.json"
    file.write_text(json.dumps({"kind": "List", "apiVersion": "v1", "items": made.objects}))
    return made, file


@pytest.fixture
def decided(fleet: tuple[SimulatedFleet, Path], tmp_path: Path) -> dict[str, Any]:
    """By server and API: the profiles, recommendations and blocked changes of one pass."""
    made, file = fleet
    series = list(rows(made))
    with running(tmp_path / "prometheus", series=openmetrics(series)) as prometheus, victoria(tmp_path) as metrics:
        load(metrics, series)
        return {
            "Prometheus, remote read": one_pass(prometheus, "remote-read", file),
            "Prometheus, ranges": one_pass(prometheus, "query-range", file),
            "VictoriaMetrics": one_pass(metrics, "auto", file),
        }


def one_pass(url: str, read: ReadBy, file: Path) -> dict[str, Any]:
    with SqliteLedger(Path(":memory:")) as ledger:
        pipeline = Pipeline(
            inventory=KubernetesInventory(RecordedObjects(file)),
            usage=PrometheusUsage(PrometheusSettings(url, read=read)),
            prices=read_prices(None),
            executor=InProcess(),
            profiles=ProfileFile,
            ledger=ledger,
            settings=LoopSettings("test", DAYS * 24, STEP_S, 8),
        )
        survey = pipeline.survey(NOW_S)
        decision = pipeline.decide(survey, NOW_S)
    return {
        "profiles": dict(survey.profiles),
        "recommendations": survey.recommendations,
        "blocked": (*survey.blocked, *decision.blocked),
    }


def assert_same(one: Any, other: Any, where: str = "") -> None:
    """Equal, apart from numbers that differ by less than 1e-9 of their value."""
    assert type(one) is type(other), where
    if dataclasses.is_dataclass(one):
        for field in dataclasses.fields(one):
            assert_same(getattr(one, field.name), getattr(other, field.name), f"{where}.{field.name}")
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key, value in one.items():
            assert_same(value, other[key], f"{where}.{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), where
        for at, (left, right) in enumerate(zip(one, other, strict=True)):
            assert_same(left, right, f"{where}[{at}]")
    elif isinstance(one, np.ndarray):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=0.0, err_msg=where)
    elif isinstance(one, float):
        assert math.isclose(one, other, rel_tol=1e-9) or (math.isnan(one) and math.isnan(other)), where
    else:
        assert one == other, where


def test_decisions_are_the_same(decided: dict[str, Any]) -> None:
    first = decided.pop("Prometheus, remote read")
    assert len(first["recommendations"]) >= 5
    assert len(first["profiles"]) >= 40
    assert any(profile.paces for profile in first["profiles"].values())
    for server, other in decided.items():
        assert_same(first, other, server)
