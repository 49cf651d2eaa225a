"""Every exporter's page, loaded into one real Prometheus, gives what its fixture expects (tests/data/exporters)."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.prometheus_server import NEEDS_PROMETHEUS, running

from gpuwise.model.gpu import gpu_type
from gpuwise.model.hours import DEVICE_SIGNALS
from gpuwise.model.inventory import GpuRequest, Inventory, Node, Pod, Workload, WorkloadClass, WorkloadRef
from gpuwise.model.signal import Signal
from gpuwise.model.usage import DeviceSeries, Window
from gpuwise.sources.prometheus.settings import PrometheusSettings
from gpuwise.sources.prometheus.usage import PrometheusUsage

pytestmark = NEEDS_PROMETHEUS

FIXTURES = Path(__file__).parents[2] / "data" / "exporters"
NAMES = sorted(path.stem for path in FIXTURES.glob("*.prom"))
START_S = 1_780_000_000 // 3600 * 3600
WINDOW = Window(START_S, START_S + 600, 60)
EVERY_S = 15


def expected(name: str) -> dict:
    return json.loads((FIXTURES / f"{name}.json").read_text())


def stored(scraped: dict[str, str], target: dict[str, str], *, honor_labels: bool) -> dict[str, str]:
    """The labels under which Prometheus stores a sample."""
    if honor_labels:
        return {key: value for key, value in (target | scraped).items() if value}
    clashing = {f"exported_{key}": scraped[key] for key in scraped.keys() & target.keys() if scraped[key]}
    return {key: value for key, value in (scraped | clashing | target).items() if value}


def played(name: str) -> Iterator[tuple[str, str]]:
    """Metric and line of every sample of a page over the window, and of its target's `up`."""
    what = expected(name)
    page = (FIXTURES / f"{name}.prom").read_text()
    counters = set(re.findall(r"^# TYPE (\S+) counter$", page, re.MULTILINE))
    for metric, scraped, text in re.findall(
        r"^([a-zA-Z_:]\w*(?::\w+)?)\{(.*)\} (\S+)$", f"{page}up{{}} 1", re.MULTILINE
    ):
        labels = dict(re.findall(r'(\w+)="([^"]*)"', scraped))
        labels = stored(labels, what["target"], honor_labels=what["honor_labels"])
        inside = ",".join(f'{key}="{value}"' for key, value in labels.items())
        for at_s in range(WINDOW.start_s - WINDOW.step_s, WINDOW.end_s, EVERY_S):
            value = float(text) + (at_s - WINDOW.start_s if metric in counters else 0)
            yield metric, f"{metric}{{{inside}}} {value} {at_s}"


@pytest.fixture(scope="module")
def usage(tmp_path_factory) -> Iterator[PrometheusUsage]:
    lines = sorted((line for name in NAMES for line in played(name)), key=lambda pair: pair[0])
    series = "\n".join(line for _, line in lines) + "\n"
    with running(tmp_path_factory.mktemp("conformance") / "prometheus", series=series) as url:
        yield PrometheusUsage(PrometheusSettings(url))


def workload(name: str, pod: str, what: dict) -> Workload:
    ref = WorkloadRef(what["namespace"], "Pod", pod, f"uid-{name}-{pod}")
    node = next(iter(what["nodes"]), "node-of-servers")
    alive = Pod(pod, f"uid-{pod}", node, "Running", ready=True, started_s=START_S - 3600)
    request = GpuRequest("nvidia.com/gpu", what.get("requests", {}).get(pod, 1))
    return Workload(ref, WorkloadClass.ENDPOINT, None, request, {}, {}, (alive,), 0)


def fleet() -> Inventory:
    workloads, nodes = [], {}
    for name in NAMES:
        what = expected(name)
        workloads += [workload(name, pod, what) for pod in what["pods"]]
        for node, has in what["nodes"].items():
            product = has["product"]
            nodes[node] = Node(node, gpu_type(product), product, has["gpus"], has["mig"], None, None)
    return Inventory(WINDOW.end_s, nodes, tuple(workloads), {})


def constant(values) -> float | None:
    """The one value of all steps, None without samples."""
    if np.isnan(values).all():
        return None
    assert np.ptp(values) == pytest.approx(0.0), values  # NaN in some step fails, too
    return float(values[0])


def described(device: DeviceSeries) -> dict:
    samples = {signal.value: constant(values) for signal, values in device.samples.items()}
    return {
        "gpu_fraction": pytest.approx(device.gpu_fraction),
        "gpu_type": device.gpu_type,
        "samples": {name: pytest.approx(value) for name, value in samples.items() if value is not None},
        "dropped_samples": device.dropped_samples,
    }


def wanted(devices: dict) -> dict:
    return {uuid: {"dropped_samples": 0} | device for uuid, device in devices.items()}


@pytest.mark.parametrize("name", NAMES)
def test_devices_of_pods(usage, name):
    what, inventory = expected(name), fleet()
    selected = [one for one in inventory.workloads if one.ref.namespace == what["namespace"]]
    for series in usage.read(selected, inventory, WINDOW):
        found = {device.device_uuid: described(device) for device in series.devices}
        assert wanted(what["pods"][series.workload.name]) == found
        assert {device.node for device in series.devices} <= set(what["nodes"])
        rate = what.get("requests_per_second", {}).get(series.workload.name)
        if rate is None:
            assert series.requests_per_second is None
        else:
            assert constant(series.requests_per_second) == pytest.approx(rate)


@pytest.mark.parametrize("name", [name for name in NAMES if expected(name)["nodes"]])
def test_unallocated_devices(usage, name):
    nodes, inventory = expected(name)["nodes"], fleet()
    for series in usage.read_nodes([inventory.nodes[node] for node in nodes], inventory, WINDOW):
        assert all((device.pod, device.node) == ("", series.workload.name) for device in series.devices)
        found = {device.device_uuid: described(device) for device in series.devices}
        assert wanted(nodes[series.workload.name]["unallocated"]) == found


def test_the_fleet_read_at_once_equals_workloads_read_one_by_one(usage):
    inventory = fleet()
    for series in usage.read(inventory.workloads, inventory, WINDOW):
        alone = next(usage.read([inventory.by_ref()[series.workload]], inventory, WINDOW))
        assert [one.device_uuid for one in series.devices] == [one.device_uuid for one in alone.devices]


def test_every_signal_of_devices_is_in_some_fixture():
    devices = [device for name in NAMES for held in expected(name)["pods"].values() for device in held.values()]
    assert {signal for device in devices for signal in device["samples"]} == {*DEVICE_SIGNALS, Signal.OWN_USE}
