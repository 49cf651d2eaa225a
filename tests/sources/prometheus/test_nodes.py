"""Unallocated devices, and each case in which a row without a pod is not sufficient evidence."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sources.workloads import pod, workload

from gpuwise.model.inventory import ClaimedDevice, Inventory, Node
from gpuwise.model.usage import Window
from gpuwise.sources.prometheus.names import METRICS
from gpuwise.sources.prometheus.nodes import unallocated

from .memory_series import MemoryReader, reader

NAN = float("nan")
WINDOW = Window(0, 600, 60)
NODE = Node("node-a", None, "", 2, {}, None, None)
CARD = {"UUID": "GPU-a", "Hostname": "node-a", "instance": "10.0.0.1:9400"}
BESIDE = CARD | {"UUID": "GPU-b"}
ALLOCATED = {"namespace": "research", "pod": "trainer-0"}
OWN = {"namespace": "gpu-operator", "pod": "dcgm-x"}
UTIL = "DCGM_FI_DEV_GPU_UTIL"
BUSY = [50.0] * 10


def free_steps(source: MemoryReader, *workloads, uuid: str = "GPU-a") -> list[int]:
    """Steps in which the card exists and is unallocated."""
    fleet = Inventory(0, {"node-a": NODE}, workloads, {})
    found = unallocated(source, METRICS, [NODE], fleet, WINDOW)["node-a"]
    devices = {key.name: device for key, device in found.items()}
    return [] if uuid not in devices else [int(step) for step in np.flatnonzero(devices[uuid].sampled())]


def test_a_card_without_a_pod_is_unallocated():
    assert free_steps(reader(WINDOW, (UTIL, CARD, BUSY))) == list(range(10))


def test_a_card_is_unallocated_after_its_pod_ends():
    source = reader(WINDOW, (UTIL, CARD | ALLOCATED, [50] * 4), (UTIL, CARD, [NAN] * 3 + [50] * 7))
    assert free_steps(source) == [4, 5, 6, 7, 8, 9]


def test_a_gap_in_a_pods_row_is_allocated():
    source = reader(WINDOW, (UTIL, CARD | ALLOCATED, [50, NAN, NAN, 50]), (UTIL, CARD, [NAN, 50, 50, NAN, 50]))
    assert free_steps(source) == [4]


def test_a_shared_cards_own_row_is_not_unallocated():
    source = reader(WINDOW, (UTIL, CARD, BUSY), (UTIL, CARD | ALLOCATED, BUSY))
    assert free_steps(source) == []


def test_pods_that_share_through_hami():
    row = {"namespace": "research", "pod": "trainer-0", "device_uuid": "GPU-a"}
    source = reader(WINDOW, (UTIL, CARD, BUSY), ("hami_container_last_kernel_elapsed_seconds", row, [9] * 5))
    assert free_steps(source) == [5, 6, 7, 8, 9]


@pytest.mark.parametrize("moved", [True, False])
def test_the_exporters_own_pod_has_no_device(moved):
    """Prometheus adds the target's pod to rows without a pod; `up` at the same address identifies it."""
    row = CARD | OWN | ({"exported_pod": ""} if moved else {})
    up = ("up", OWN | {"instance": CARD["instance"]}, [1.0] * 10)
    assert free_steps(reader(WINDOW, (UTIL, row, BUSY), up)) == list(range(10))


def test_a_scraped_pod_keeps_its_card_allocated():
    """A server's own scrape target has another address than the exporter that reports its card."""
    up = ("up", ALLOCATED | {"instance": "10.0.7.7:8000"}, [1.0] * 10)
    assert free_steps(reader(WINDOW, (UTIL, CARD | ALLOCATED, BUSY), up)) == []


def test_i30_a_claimed_card_is_allocated_although_no_row_names_its_pod():
    """The card that its claim does not give to it is unallocated, as measured."""
    one = workload(replace(pod("trainer-0", started_s=300), claimed=(ClaimedDevice("GPU-a"),)))
    source = reader(WINDOW, (UTIL, CARD, BUSY), (UTIL, BESIDE, BUSY))
    assert free_steps(source, one) == [0, 1, 2, 3, 4]
    assert free_steps(source, one, uuid="GPU-b") == list(range(10))


def test_i30_a_claim_of_an_unnamed_device_makes_the_whole_node_unknown():
    one = workload(replace(pod("trainer-0", started_s=300), claimed=(ClaimedDevice(""),)))
    source = reader(WINDOW, (UTIL, CARD, BUSY), (UTIL, BESIDE, BUSY))
    assert free_steps(source, one, uuid="GPU-b") == [0, 1, 2, 3, 4]


def test_a_pod_that_no_row_names_makes_the_whole_node_unknown():
    """An exporter that cannot reach the kubelet names no pods."""
    one = workload(pod("trainer-0", started_s=300))
    source = reader(WINDOW, (UTIL, CARD, BUSY), (UTIL, BESIDE, BUSY))
    assert free_steps(source, one, uuid="GPU-b") == [0, 1, 2, 3, 4]


def test_a_pod_that_pulls_its_image_makes_the_whole_node_unknown():
    waiting = replace(pod("trainer-0", started_s=300), phase="Pending")
    assert free_steps(reader(WINDOW, (UTIL, CARD, BUSY)), workload(waiting)) == [0, 1, 2, 3, 4]


def test_a_named_pod_leaves_other_cards_unallocated():
    one = workload(pod("trainer-0", started_s=300))
    source = reader(WINDOW, (UTIL, CARD | ALLOCATED, BUSY), (UTIL, BESIDE, BUSY))
    assert free_steps(source, one, uuid="GPU-b") == list(range(10))


def test_a_divided_card_is_not_a_device_beside_its_instances():
    instance = CARD | {"GPU_I_ID": "7", "GPU_I_PROFILE": "1g.10gb"}
    active = "DCGM_FI_PROF_GR_ENGINE_ACTIVE"
    source = reader(WINDOW, ("DCGM_FI_DEV_POWER_USAGE", CARD, BUSY), (active, instance, [0.5] * 10))
    assert (free_steps(source), free_steps(source, uuid="GPU-a/7")) == ([], list(range(10)))


def test_cards_reported_only_by_nvidia_gpu_exporter_are_unknown():
    row = {"uuid": "a", "instance": "node-a:9835"}
    assert free_steps(reader(WINDOW, ("nvidia_smi_utilization_gpu_ratio", row, [0.5] * 10))) == []


@given(st.lists(st.booleans(), min_size=10, max_size=10), st.lists(st.booleans(), min_size=10, max_size=10))
def test_no_step_is_both_allocated_and_unallocated(allocated, bare):
    def row(steps: list[bool]) -> list[float]:
        return [50.0 if there else NAN for there in steps]

    source = reader(WINDOW, (UTIL, CARD | ALLOCATED, row(allocated)), (UTIL, CARD, row(bare)))
    free = free_steps(source)
    assert not any(allocated[step] for step in free)
    assert all(bare[step] for step in free)
