"""Rows of cards without a pod: to which pod they belong, and that they never extend a pod's life."""

from dataclasses import replace

import numpy as np
import pytest
from tests.sources.workloads import pod, workload

from gpuwise.model.gpu import gpu_type
from gpuwise.model.inventory import ClaimedDevice, GpuRequest, Inventory, Node, Pod, Workload
from gpuwise.model.signal import Signal
from gpuwise.model.usage import Window
from gpuwise.sources.prometheus.cards import (
    SolePod,
    add_card_facts,
    add_contradictions,
    cards_of_claims,
    cards_of_sole_pods,
    claimed_cards,
    node_of,
    pods_alone,
    sole_pods,
)
from gpuwise.sources.prometheus.devices import Device, DeviceKey
from gpuwise.sources.prometheus.names import LAST_KERNEL, METRICS

from .memory_series import reader

NAN = float("nan")
WINDOW = Window(0, 600, 60)
KERNEL = next(metric for metric in METRICS if metric.name == LAST_KERNEL)
SMI = "nvidia_smi_utilization_gpu_ratio"


def node(product: str = "NVIDIA-L4", gpus: int = 2, mig: dict[str, int] | None = None) -> Node:
    return Node("node-a", gpu_type(product), product, gpus, mig or {}, None, None)


def requesting(gpus: int, *pods: Pod, name: str = "trainer", resource: str = "nvidia.com/gpu") -> Workload:
    return replace(workload(*pods, name=name), request=GpuRequest(resource, gpus))


ALONE = pod("trainer-0", started_s=120)
BESIDE = pod("other-0", started_s=0)
ENDED = replace(BESIDE, phase="Succeeded")


@pytest.mark.parametrize(
    ("one", "others", "on", "is_sole"),
    [
        (requesting(2, ALONE), (), node(), True),
        (requesting(2, ALONE), (requesting(2, ENDED, name="other"),), node(), True),
        (requesting(2, ALONE), (requesting(1, BESIDE, name="other"),), node(), False),
        (requesting(1, ALONE), (), node(), False),  # the other card may be anyone's
        (requesting(2, ALONE), (), node("NVIDIA-L4-SHARED"), False),
        (requesting(2, ALONE), (), node(mig={"1g.10gb": 2}), False),
        (requesting(2, ALONE, resource="nvidia.com/mig-1g.10gb"), (), node(), False),
        (requesting(2, replace(ALONE, started_s=None)), (), node(), False),
        (requesting(2, replace(ALONE, node="node-b")), (), node(), False),
    ],
)
def test_a_nodes_only_pod_that_requests_all_cards_is_its_sole_pod(one, others, on, is_sole):
    fleet = Inventory(0, {"node-a": on}, (one, *others), {})
    expected = {"node-a": SolePod(("research", "trainer-0"), 120)} if is_sole else {}
    assert sole_pods([one], fleet) == expected


def test_a_sole_pods_cards_are_its_own_since_it_started():
    rows = reader(WINDOW, (SMI, {"uuid": "a", "instance": "node-a:9835"}, [0.5] * 10))
    found = cards_of_sole_pods(rows, METRICS, {"node-a": SolePod(("research", "trainer-0"), 120)}, WINDOW)
    [(key, device)] = found["research", "trainer-0"].items()
    assert key == DeviceKey("GPU-a", "")
    assert list(np.flatnonzero(device.sampled())) == list(range(2, 10))


@pytest.mark.parametrize(
    ("claimed", "labels", "steps"),
    [
        (ClaimedDevice("GPU-a"), {}, list(range(2, 10))),
        (ClaimedDevice("GPU-a"), {"namespace": "gpu-operator", "pod": "dcgm-x"}, list(range(2, 10))),
        (ClaimedDevice("GPU-a"), {"namespace": "research", "pod": "other-0"}, []),
        (ClaimedDevice("GPU-a", pods=2), {}, []),
        (ClaimedDevice("GPU-b"), {}, []),
        (ClaimedDevice(""), {}, []),
    ],
)
def test_i30_a_claimed_cards_rows_are_its_pods_since_it_started(claimed, labels, steps):
    one = requesting(1, replace(ALONE, claimed=(claimed,)), resource="gpu.nvidia.com")
    fleet = Inventory(0, {"node-a": node()}, (one, requesting(1, BESIDE, name="other")), {})
    rows = reader(WINDOW, ("DCGM_FI_DEV_GPU_UTIL", {"UUID": "GPU-a"} | labels, [50.0] * 10))
    found = cards_of_claims(rows, METRICS, claimed_cards([one]), fleet, WINDOW)
    devices = found.get(("research", "trainer-0"), {})
    assert [step for device in devices.values() for step in np.flatnonzero(device.sampled())] == steps


def test_a_cards_rows_never_extend_the_life_of_its_pod():
    key, labels = DeviceKey("GPU-a", ""), {"device_uuid": "GPU-a", "pod": "trainer-0"}
    device = Device()
    device.add(KERNEL, labels, np.array([NAN, NAN, 5, NAN, 5, NAN, NAN, NAN, NAN, NAN]))
    rows = reader(WINDOW, (SMI, {"uuid": "a"}, [0.5] * 10), ("DCGM_FI_DEV_FB_USED", {"UUID": "GPU-a"}, [9.0] * 10))
    add_card_facts(rows, METRICS, {("research", "trainer-0"): {key: device}}, WINDOW)
    assert device.raw.keys() == {LAST_KERNEL, SMI}
    assert list(np.flatnonzero(device.sampled())) == [2, 3, 4]


def test_a_device_that_reports_activity_is_not_changed():
    device = Device()
    metric = next(metric for metric in METRICS if metric.name == "DCGM_FI_DEV_GPU_UTIL")
    device.add(metric, {"UUID": "GPU-a", "pod": "quiet-0"}, np.zeros(10))
    rows = reader(WINDOW, (SMI, {"uuid": "a"}, [0.5] * 10))
    add_card_facts(rows, METRICS, {("research", "quiet-0"): {DeviceKey("GPU-a", ""): device}}, WINDOW)
    assert device.raw.keys() == {"DCGM_FI_DEV_GPU_UTIL"}


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"Hostname": "node-a"}, "node-a"),
        ({"hostname": "node-a", "instance": "10.0.0.1:9400"}, "node-a"),
        ({"Hostname": "dcgm-exporter-x2z4q", "node": "node-a"}, "node-a"),
        ({"instance": "node-a:9835"}, "node-a"),
        ({"instance": "node-a"}, "node-a"),
        ({"instance": "node-ab:9835"}, None),
        ({}, None),
    ],
)
def test_a_rows_node_is_found_by_label_or_address(labels, expected):
    assert node_of(labels, ["node-a", "node-b"]) == expected


HAMI = next(metric for metric in METRICS if metric.name == "hami_container_device_utilization_ratio")
ROW = {"namespace": "research", "pod": "trainer-0", "device_uuid": "GPU-a"}
CARD = {"UUID": "GPU-a", "gpu": "0", "Hostname": "node-a"}
ZERO, BUSY = [0.0] * WINDOW.steps, [95.0] * WINDOW.steps


@pytest.mark.parametrize(("others", "contradicted"), [((), True), (("another-0",), False)])
def test_a_busy_card_contradicts_the_zero_of_the_only_pod_on_it(others, contradicted):
    """HAMi's utilisation of a container can stay at 0 while dcgm-exporter sees its card at work."""
    device = Device()
    device.add(HAMI, ROW, np.array(ZERO))
    rows = [(HAMI.name, ROW | {"pod": name}, ZERO) for name in ("trainer-0", *others)]
    pods = {("research", "trainer-0"): {DeviceKey("GPU-a", ""): device}}
    add_card_facts(reader(WINDOW, *rows, ("DCGM_FI_DEV_GPU_UTIL", CARD, BUSY)), METRICS, pods, WINDOW)
    assert ("DCGM_FI_DEV_GPU_UTIL" in device.raw) is contradicted


UTIL = next(metric for metric in METRICS if metric.name == "DCGM_FI_DEV_GPU_UTIL")
SMI_ROW = {"uuid": "a", "namespace": "monitoring", "pod": "smi-exporter-x"}


@pytest.mark.parametrize(
    ("name", "labels", "value", "seen"),
    [
        (SMI, SMI_ROW, 0.9, 0.9),
        ("DCGM_FI_DEV_GPU_UTIL", CARD, 90.0, 0.9),
        (SMI, SMI_ROW, 0.0, 0.2),
        ("DCGM_FI_DEV_GPU_UTIL", CARD | {"pod": "other-0", "namespace": "research"}, 90.0, 0.2),
        ("DCGM_FI_DEV_GPU_UTIL", CARD | {"GPU_I_ID": "3"}, 90.0, 0.2),
    ],
)
def test_a_busier_row_of_the_card_contradicts_the_row_of_a_pod(name, labels, value, seen):
    device = Device()
    device.add(UTIL, ROW, np.array([NAN] + [20.0] * 8 + [NAN]))
    pods = {("research", "trainer-0"): {DeviceKey("GPU-a", ""): device}}
    add_contradictions(reader(WINDOW, (name, labels, [value] * 10)), METRICS, pods, WINDOW)
    samples, _ = device.samples(METRICS, WINDOW)
    np.testing.assert_allclose(samples[Signal.GPU_UTIL], [NAN] + [seen] * 8 + [NAN])


@pytest.mark.parametrize(
    ("one", "on", "alone"),
    [
        (requesting(1, ALONE), node(), True),
        (requesting(1, ENDED), node(), False),
        (requesting(1, ALONE), node("NVIDIA-L4-SHARED"), False),
        (requesting(1, ALONE), replace(node(), pods_per_gpu=4), False),
        (replace(requesting(1, ALONE), shares_card=True), node(), False),
        (requesting(1, replace(ALONE, claimed=(ClaimedDevice("GPU-a", pods=2),))), node(), False),
        (requesting(1, replace(ALONE, node="node-b")), node(), False),
    ],
)
def test_which_pods_have_their_cards_alone(one, on, alone):
    assert bool(pods_alone([one], Inventory(0, {"node-a": on}, (one,), {}))) is alone


ENERGY = "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"


def test_i29_the_heartbeat_of_a_claimed_card_is_its_pods():
    one = requesting(1, replace(ALONE, claimed=(ClaimedDevice("GPU-a"),)), resource="gpu.nvidia.com")
    rows = reader(WINDOW, (UTIL.name, CARD, ZERO), (ENERGY, CARD, [7.0] * 10))
    fleet = Inventory(0, {"node-a": node()}, (one,), {})
    found = cards_of_claims(rows, METRICS, claimed_cards([one]), fleet, WINDOW, heartbeats={ENERGY})
    [device] = found["research", "trainer-0"].values()
    np.testing.assert_array_equal(device.heartbeats[ENERGY], [NAN, NAN] + [7.0] * 8)


def test_i29_the_heartbeat_of_a_card_counts_where_its_facts_do():
    device = Device()
    device.add(HAMI, ROW, np.array(ZERO))
    rows = reader(WINDOW, (HAMI.name, ROW, ZERO), (UTIL.name, CARD, ZERO), (ENERGY, CARD, [7.0] * 10))
    pods = {("research", "trainer-0"): {DeviceKey("GPU-a", ""): device}}
    add_card_facts(rows, METRICS, pods, WINDOW, heartbeats={ENERGY})
    assert device.heartbeats.keys() == {ENERGY}
