"""Laws of the simulated fleet: reproducible, physically plausible, consistent with its Kubernetes objects."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuwise.model.errors import InputError
from gpuwise.model.gpu import named
from gpuwise.model.signal import SIGNALS, Sensor, Signal
from gpuwise.simulate import FleetSettings, simulate_fleet

NOW = 1_795_219_200  # 2026-11-21 00:00 UTC
SMALL = FleetSettings(nodes=8, days=3)


def arrays(pods):
    return {
        (pod.namespace, device.pod, device.device_uuid, signal): values
        for pod in pods
        for device in pod.devices
        for signal, values in device.samples.items()
    }


def test_the_same_seed_gives_the_same_fleet_bit_for_bit():
    one, two = (simulate_fleet(5, NOW, SMALL) for _ in range(2))
    assert one.objects == two.objects
    first, second = arrays(one.series()), arrays(two.series())
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[key], second[key], equal_nan=True) for key in first)


def test_another_seed_gives_another_fleet():
    one, two = (arrays(simulate_fleet(seed, NOW, SMALL).series()) for seed in (5, 6))
    assert not one.keys() & two.keys()


def test_a_workload_recorded_alone_is_the_same_as_in_the_series():
    fleet = simulate_fleet(5, NOW, SMALL)
    whole = arrays(fleet.series())
    placed = [workload for workload in fleet.workloads if workload.live and workload.live[0].slots]
    alone = arrays(fleet.record(placed[-1]))
    assert alone
    assert all(np.array_equal(whole[key], alone[key], equal_nan=True) for key in alone)


def test_progress_reaches_the_number_of_workloads():
    calls = []
    fleet = simulate_fleet(5, NOW, SMALL, lambda done, total: calls.append((done, total)))
    for _ in fleet.series():
        pass
    assert calls == [(done, len(fleet.workloads)) for done in range(1, len(fleet.workloads) + 1)]


def test_every_sample_is_plausible_and_quantised():
    for pod in simulate_fleet(5, NOW, SMALL).series():
        for device in pod.devices:
            for signal, values in device.samples.items():
                known = values[~np.isnan(values)]
                assert ((known >= 0) & (known <= SIGNALS[signal].highest)).all()
                quantum = {"ratio": 0.01, "watts": 1.0, "bytes": 2**20}[SIGNALS[signal].unit]
                assert np.allclose(known / quantum, np.rint(known / quantum), atol=1e-4)


def test_idle_devices_draw_less_than_their_types_idle_power_and_busy_ones_more():
    busiest = 0.0
    for pod in simulate_fleet(5, NOW, SMALL).series():
        for device in pod.devices:
            power, util = device.samples.get(Signal.POWER), device.samples.get(Signal.GPU_UTIL)
            if power is None:
                continue
            gpu = named(device.gpu_type)
            idle_watts = gpu.idle_ratio * gpu.board_watts
            assert (power[util == 0] < idle_watts).all()
            assert (np.nan_to_num(power) <= gpu.board_watts).all()
            busiest = max(busiest, float(np.nanmax(power)) / idle_watts)
    assert busiest > 1.5


def test_mig_instances_have_neither_driver_utilisation_nor_power():
    mig = [
        device for pod in simulate_fleet(5, NOW, SMALL).series() for device in pod.devices if device.gpu_fraction < 1
    ]
    assert mig
    assert all({Signal.GPU_UTIL, Signal.POWER}.isdisjoint(device.samples) for device in mig)
    assert all(Signal.SM_ACTIVITY in device.samples for device in mig)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), nodes=st.integers(4, 48))
def test_no_device_is_allocated_twice_at_a_time(seed, nodes):
    fleet = simulate_fleet(seed, NOW, FleetSettings(nodes=nodes, days=2))
    assert len(fleet.machines) == nodes
    spans = {}
    for workload in fleet.workloads:
        for pod in workload.pods:
            for slot in pod.slots:
                spans.setdefault(slot.uuid, []).append((pod.started_s, pod.ended_s or NOW))
    for allocated in spans.values():
        assert all(end <= start for (_, end), (start, _) in itertools.pairwise(sorted(allocated)))


def test_only_the_workload_that_fits_no_node_and_the_one_with_a_gate_are_pending():
    fleet = simulate_fleet(7, NOW)
    assert 110 <= len(fleet.workloads) <= 130
    assert {workload.name for workload in fleet.workloads for pod in workload.live if not pod.slots} == {
        "mega-batch",
        "ablation-grid",
    }


def test_the_data_have_the_documented_defects():
    fleet = simulate_fleet(7, NOW, FleetSettings(days=2))
    without = next(workload for workload in fleet.workloads if workload.name == "face-blur")
    for pod in fleet.record(without):
        sensors = {SIGNALS[signal].sensor for device in pod.devices for signal in device.samples}
        assert Sensor.PROFILING not in sensors
        assert Sensor.DRIVER in sensors
    assert len(fleet.outages) == 4
    missing = sum(np.isnan(values).any() for values in arrays(fleet.series()).values())
    assert missing > 0


def by_kind(objects):
    kinds = {}
    for item in objects:
        kinds.setdefault(item["kind"], []).append(item)
    return kinds


def test_objects_contain_every_live_pod_and_its_owners():
    fleet = simulate_fleet(7, NOW, FleetSettings(days=2))
    kinds = by_kind(fleet.objects)
    uids = {item["metadata"]["uid"] for item in fleet.objects}
    assert len(uids) == len(fleet.objects)
    assert all(owner["uid"] in uids for pod in kinds["Pod"] for owner in pod["metadata"]["ownerReferences"])
    live = {(pod["metadata"]["namespace"], pod["metadata"]["name"]) for pod in kinds["Pod"]}
    ends = {(pod.namespace, device.pod): pod.window.end_s for pod in fleet.series() for device in pod.devices}
    assert {key for key, end_s in ends.items() if end_s == fleet.window.end_s} <= live
    assert {"Node", "Namespace", "Deployment", "ReplicaSet", "StatefulSet", "Job", "Pod", "PodDisruptionBudget",
            "HorizontalPodAutoscaler"} == set(kinds)  # fmt: skip


def test_running_pods_fit_their_nodes():
    kinds = by_kind(simulate_fleet(7, NOW, FleetSettings(days=2)).objects)
    asked = Counter()
    for pod in kinds["Pod"]:
        for resource, count in pod["spec"]["containers"][0]["resources"]["limits"].items():
            asked[pod["spec"].get("nodeName"), resource] += int(count)
    offered = {
        (node["metadata"]["name"], resource): int(count)
        for node in kinds["Node"]
        for resource, count in node["status"]["allocatable"].items()
        if resource.startswith("nvidia.com/")
    }
    assert all(count <= offered[key] for key, count in asked.items() if key[0] is not None)
    assert sum(offered[key] for key in offered if key[1] == "nvidia.com/gpu") > 250


@pytest.mark.parametrize("wrong", [{"nodes": 3}, {"days": 0}, {"step_s": 7}, {"step_s": 0}])
def test_invalid_sizes_are_an_error_with_a_hint(wrong):
    with pytest.raises(InputError) as refused:
        FleetSettings(**wrong)
    assert refused.value.hint


def test_unallocated_devices_are_idle_and_have_no_pod():
    fleet = simulate_fleet(5, NOW, SMALL)
    allocated = [device for pod in fleet.series() for device in pod.devices]
    free = [device for node in fleet.unallocated() for device in node.devices]
    assert free
    assert {device.pod for device in free} == {""}
    slots = {slot.uuid for machine in fleet.machines for slot in machine.slots}
    assert {device.device_uuid for device in (*allocated, *free)} == slots
    assert all(np.nanmax(device.samples[Signal.SM_ACTIVITY]) == 0.0 for device in free)
    all_through = {
        device.device_uuid for device in allocated if device.samples[Signal.SM_ACTIVITY].size == fleet.window.steps
    }
    assert all_through
    assert not all_through & {device.device_uuid for device in free}
