import gzip
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families
from tests.collect.conftest import Clock, OpenNvml, Scenario
from tests.collect.readings import ScriptedDevices, card, instance, reading
from tests.collect.scenarios import FULL, H100, SHARED, SLICED, moved, node
from tests.collect.test_sampler import attributor_of
from tests.prometheus_server import NEEDS_PROMETHEUS

from gpuwise.collect import catalogue as c
from gpuwise.collect.attribution.allocation import Allocation, Container
from gpuwise.collect.metric import Kind
from gpuwise.collect.reading import Sweep
from gpuwise.collect.sampler import STALE_INTERVALS, Sampler
from gpuwise.collect.serve.families import Family, capped, pairs, text
from gpuwise.collect.serve.negotiation import Format
from gpuwise.collect.serve.page import Page
from gpuwise.collect.settings import Compat

POD = Container("research", "trainer-0", "main")
OTHER = Container("research", "notebook-0", "main")
_COUNTERS = "TOTAL_ENERGY_CONSUMPTION PCIE_REPLAY_COUNTER UNCORRECTABLE_REMAPPED_ROWS CORRECTABLE_REMAPPED_ROWS"
Samples = dict[str, list[tuple[dict[str, str], float]]]


def samples(written: str | bytes) -> Samples:
    found: Samples = {}
    for family in text_string_to_metric_families(written if isinstance(written, str) else written.decode()):
        for sample in family.samples:
            # The parser adds a lower-case suffix to each counter; dcgm-exporter's counters do not have it.
            name = sample.name.removesuffix("_total") if sample.name.startswith("DCGM") else sample.name
            found.setdefault(name, []).append((sample.labels, sample.value))
    return found


def page_of(sampler: Sampler, **more: object) -> Page:
    return Page(sampler, node="node-a", **more)


def test_a_scrape_shows_the_last_snapshot(open_nvml: OpenNvml, clock: Clock):
    sampler = Sampler(open_nvml(H100), attributor_of(Allocation(POD, "GPU-aaaa")), interval_s=10, clock=clock)
    page = page_of(sampler)
    sampler.sample()
    sampler.sample()
    found = samples(page.plain())
    ((labels, value),) = found["gpuwise_gpu_sm_activity_ratio"]
    assert value == 0.415
    assert labels == {
        "device_uuid": "GPU-aaaa",
        "gpu": "0",
        "model": "NVIDIA H100 80GB HBM3",
        "mig_profile": "",
        "gpu_instance_id": "",
        "node": "node-a",
        "namespace": "research",
        "pod": "trainer-0",
        "container": "main",
        "source": "gpm",
    }
    assert found["gpuwise_gpu_sample_timestamp_seconds"][0][1] == 1000.0
    assert found["gpuwise_gpu_energy_joules_total"][0][1] == pytest.approx(123456.789)
    assert found["gpuwise_container_gpu_power_watts"][0][1] == 312.5
    assert found["gpuwise_container_gpu_power_watts"][0][0]["method"] == "whole"
    assert found["gpuwise_exporter_series"][0][1] == sum(
        len(rows) for name, rows in found.items() if not name.startswith("gpuwise_exporter")
    )


def test_a_shared_device_has_one_series_per_container_and_one_per_part(open_nvml: OpenNvml):
    attributor = attributor_of(Allocation(POD, "GPU-cccc::0"), Allocation(OTHER, "GPU-cccc::1"))
    sampler = Sampler(open_nvml(SHARED), attributor, interval_s=10)
    sampler.sample()
    found = samples(page_of(sampler).plain())
    assert {labels["pod"] for labels, _ in found["gpuwise_gpu_utilization_ratio"]} == {"trainer-0", "notebook-0"}
    assert {value for _, value in found["gpuwise_gpu_utilization_ratio"]} == {0.8}
    parts = {
        (labels["pod"], labels["method"]): value for labels, value in found["gpuwise_container_gpu_utilization_ratio"]
    }
    assert parts == pytest.approx(
        {("trainer-0", "sm_time"): 0.6, ("notebook-0", "sm_time"): 0.15, ("", "unattributed"): 0.05}
    )


def test_incident_distributed_8739_an_unsupported_value_has_no_series(open_nvml: OpenNvml):
    sampler = Sampler(open_nvml(SLICED), None, interval_s=10)
    page = page_of(sampler)
    assert b"gpuwise_gpu_" not in page.plain()
    sampler.sample()
    found = samples(page.plain())
    for absent in ("utilization_ratio", "sm_activity_ratio", "energy_joules_total", "fan_speed_ratio", "ecc_mode"):
        assert f"gpuwise_gpu_{absent}" not in found
    assert not any(name.startswith("gpuwise_container") for name in found)
    assert {labels["mig_profile"] for labels, _ in found["gpuwise_gpu_memory_used_bytes"]} == {"", "1g.10gb", "3g.40gb"}


def test_stale_values_are_not_served_but_their_age_is(open_nvml: OpenNvml, clock: Clock):
    sampler = Sampler(open_nvml(H100), attributor_of(Allocation(POD, "GPU-aaaa")), interval_s=10, clock=clock)
    page = page_of(sampler, compat=Compat.DCGM)
    sampler.sample()
    assert "gpuwise_gpu_utilization_ratio" in samples(page.plain())
    clock.now_s += STALE_INTERVALS * 10 + 1
    found = samples(page.plain())
    devices = {name for name in found if not name.startswith("gpuwise_exporter")}
    assert devices == {"gpuwise_gpu_sample_timestamp_seconds"}
    assert found["gpuwise_gpu_sample_timestamp_seconds"][0][1] == 1000.0
    assert found["gpuwise_exporter_snapshot_age_seconds"][0][1] == 31.0


def test_a_lost_gpu_is_down_and_keeps_the_time_of_its_last_reading(
    open_nvml: OpenNvml, scenario: Scenario, clock: Clock
):
    two = H100 + moved(SHARED, to=1)
    sampler = Sampler(open_nvml(two), None, interval_s=10, clock=clock)
    sampler.sample()
    scenario.play(two, "fail nvmlDeviceGetHandleByIndex_v2 15 1")
    clock.now_s += 10
    sampler.sample()
    found = samples(page_of(sampler).plain())
    assert {labels["device_uuid"]: value for labels, value in found["gpuwise_gpu_up"]} == {"GPU-aaaa": 1, "GPU-cccc": 0}
    read = {labels["device_uuid"]: value for labels, value in found["gpuwise_gpu_sample_timestamp_seconds"]}
    assert read == {"GPU-aaaa": 1010.0, "GPU-cccc": 1000.0}
    assert {labels["device_uuid"] for labels, _ in found["gpuwise_gpu_power_watts"]} == {"GPU-aaaa"}


def test_the_compressed_page_is_the_same_page(open_nvml: OpenNvml, clock: Clock):
    sampler = Sampler(open_nvml(FULL), None, interval_s=10, clock=clock)
    page = page_of(sampler)
    sampler.sample()
    assert gzip.decompress(page.packed()) == page.plain()


def test_openmetrics_has_the_same_series_and_its_own_end(open_nvml: OpenNvml, clock: Clock):
    sampler = Sampler(open_nvml(FULL + moved(SLICED, to=1)), None, interval_s=10, clock=clock)
    page = page_of(sampler, compat=Compat.DCGM)
    sampler.sample()
    sampler.sample()
    written = page.plain(Format.OPENMETRICS).decode()
    found: Samples = {}
    for family in openmetrics_families(written):  # it raises on what the specification forbids
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    assert found == samples(page.plain())
    assert gzip.decompress(page.packed(Format.OPENMETRICS)).endswith(b"# EOF\n")
    assert "# TYPE gpuwise_gpu_energy_joules counter" in written
    assert "# TYPE DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION unknown" in written


def test_the_series_limit_removes_whole_metrics_and_lists_them(open_nvml: OpenNvml):
    sampler = Sampler(open_nvml(FULL), None, interval_s=10)
    sampler.sample()
    everything = samples(page_of(sampler).plain())
    found = samples(page_of(sampler, max_series=20).plain())
    kept = {name for name in found if not name.startswith("gpuwise_exporter")}
    assert sum(len(found[name]) for name in kept) <= 20
    dropped = {labels["metric"]: count for labels, count in found["gpuwise_exporter_dropped_series"]}
    assert {"gpuwise_gpu_sample_timestamp_seconds", "gpuwise_gpu_utilization_ratio"} <= kept
    assert all(len(found[name]) == len(everything[name]) for name in kept)
    assert dropped == {
        name: len(rows)
        for name, rows in everything.items()
        if not name.startswith("gpuwise_exporter") and name not in kept
    }


def test_eight_cards_of_seven_instances_and_56_pods_stay_within_the_series_limit(open_nvml: OpenNvml):
    pods = [
        Allocation(Container(f"team-{card}", f"worker-{card}-{slot}", "main"), f"MIG-{card:04d}-{slot}")
        for card in range(8)
        for slot in range(7)
    ]
    sampler = Sampler(open_nvml(node(8, 7)), attributor_of(*pods), interval_s=10)
    sampler.sample()
    snapshot = sampler.sample()
    assert len(snapshot.readings) == 64
    for compat in Compat:
        found = samples(page_of(sampler, compat=compat).plain())
        assert "gpuwise_exporter_dropped_series" not in found
        assert found["gpuwise_exporter_series"][0][1] < 10_000
        assert len({labels["pod"] for labels, _ in found["gpuwise_container_gpu_power_watts"]}) >= 56


@NEEDS_PROMETHEUS
def test_promtool_accepts_the_page(open_nvml: OpenNvml):
    text_ = FULL + moved(SLICED, to=1) + moved(SHARED, to=2)
    attributor = attributor_of(Allocation(POD, "GPU-cccc::0"), Allocation(OTHER, "GPU-cccc::1"))
    sampler = Sampler(
        open_nvml(text_, "gpu 0 fan 4294967295", "fail nvmlDeviceGetPowerUsage 15 1"), attributor, interval_s=10
    )
    sampler.sample()
    sampler.sample()
    promtool = shutil.which("promtool")
    assert promtool
    linted = subprocess.run(
        [promtool, "check", "metrics"], input=page_of(sampler).plain(), capture_output=True, check=False
    )
    assert (linted.returncode, linted.stdout + linted.stderr) == (0, b"")


class TestDcgm:
    """The names and labels of dcgm-exporter."""

    def found(self, open_nvml: OpenNvml, scenario: str, *allocations: Allocation) -> Samples:
        sampler = Sampler(open_nvml(scenario), attributor_of(*allocations), interval_s=10)
        sampler.sample()
        sampler.sample()
        return samples(page_of(sampler, compat=Compat.DCGM).plain())

    def test_both_sets_of_names_have_the_same_values_in_their_units(self, open_nvml: OpenNvml):
        found = self.found(open_nvml, FULL, Allocation(POD, "GPU-aaaa"))
        for old, new, scale in (
            ("DEV_GPU_UTIL", "DEV_GPU_UTIL_RATIO", 0.01),
            ("DEV_FB_USED", "DEV_FB_USED_BYTES", 2**20),
            ("DEV_FB_FREE", "DEV_FB_FREE_BYTES", 2**20),
            ("DEV_SM_CLOCK", "DEV_SM_CLOCK_HERTZ", 1e6),
            ("DEV_TOTAL_ENERGY_CONSUMPTION", "DEV_GPU_ENERGY_JOULES_TOTAL", 1e-3),
            ("DEV_POWER_USAGE", "DEV_BOARD_POWER_WATTS", 1),
            ("DEV_POWER_VIOLATION", "DEV_GPU_POWER_THROTTLE_SECONDS_TOTAL", 1e-9),
            ("PROF_GR_ENGINE_ACTIVE", "PROF_GR_ENGINE_UTIL_RATIO", 1),
            ("PROF_SM_ACTIVE", "PROF_SM_UTIL_RATIO", 1),
            ("PROF_PIPE_TENSOR_ACTIVE", "PROF_TENSOR_UTIL_RATIO", 1),
            ("PROF_DRAM_ACTIVE", "PROF_DRAM_UTIL_RATIO", 1),
        ):
            ((there, value),) = found[f"DCGM_FI_{old}"]
            ((here, other),) = found[f"DCGM_FI_{new}"]
            assert value * scale == pytest.approx(other)
            assert (there["Hostname"], here["hostname"]) == ("node-a", "node-a")
        assert found["DCGM_FI_DEV_GPU_UTIL"][0] == (
            {
                "gpu": "0",
                "UUID": "GPU-aaaa",
                "pci_bus_id": "00000000:1B:00.0",
                "device": "nvidia0",
                "modelName": "NVIDIA H100 80GB HBM3",
                "Hostname": "node-a",
                "container": "main",
                "namespace": "research",
                "pod": "trainer-0",
            },
            37.0,
        )

    def test_all_default_counters_are_present(self, open_nvml: OpenNvml):
        found = self.found(open_nvml, FULL)
        gauges = "SM_CLOCK MEM_CLOCK MEMORY_TEMP GPU_TEMP POWER_USAGE GPU_UTIL MEM_COPY_UTIL ENC_UTIL DEC_UTIL FB_FREE"
        names = f"{gauges} FB_USED FB_RESERVED ROW_REMAP_FAILURE {_COUNTERS}".split()
        assert {f"DCGM_FI_DEV_{name}" for name in names} <= found.keys()
        assert {"DCGM_FI_PROF_PCIE_TX_BYTES", "DCGM_FI_PROF_PCIE_RX_BYTES"} <= found.keys()

    def test_under_mig_the_uuid_is_the_cards_and_labels_name_the_instance(self, open_nvml: OpenNvml):
        found = self.found(open_nvml, SLICED, Allocation(POD, "MIG-1111"))
        assert "DCGM_FI_DEV_GPU_UTIL" not in found  # under MIG the driver reports 0 for a busy card (dcgm-exporter#216)
        one = next(labels for labels, value in found["DCGM_FI_PROF_SM_ACTIVE"] if value == 0.88)
        assert (one["UUID"], one["GPU_I_PROFILE"], one["GPU_I_ID"], one["pod"]) == (
            "GPU-bbbb",
            "1g.10gb",
            "7",
            "trainer-0",
        )
        other = next(labels for labels, value in found["DCGM_FI_PROF_SM_ACTIVE"] if value == 0.0)
        assert "pod" not in other

    def test_they_are_absent_unless_enabled(self, open_nvml: OpenNvml):
        sampler = Sampler(open_nvml(FULL), None, interval_s=10)
        sampler.sample()
        assert b"DCGM" not in page_of(sampler).plain()


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\r"), max_size=20))
def test_any_label_value_is_parsed_back(value: str):
    family = Family("x", Kind.GAUGE, "Help with \\ and\nnewline.")
    family.add(pairs(("label",), (value,)), 0.5)
    assert samples(text([family])) == {"x": [({"label": value}, 0.5)]}


@given(st.lists(st.integers(0, 30), max_size=12), st.integers(1, 100))
def test_the_series_limit_is_kept_and_no_family_is_partial(sizes: list[int], most: int):
    families = [Family(f"m{number}", Kind.GAUGE, "", ["x"] * size) for number, size in enumerate(sizes)]
    kept, left_out = capped(families, most)
    assert sum(len(family.lines) for family in kept) <= most
    assert {family.name for family in kept} | left_out.keys() == {family.name for family in families}
    assert all(count > 0 for count in left_out.values())


def test_instances_are_separate_devices(clock: Clock):
    gpu = card()
    one = instance(gpu, 7)
    sweep = Sweep((reading(gpu, {c.MIG_MODE: 1.0}), reading(one, {c.SM_ACTIVITY: 0.5})))
    sampler = Sampler(ScriptedDevices(sweep), None, interval_s=10, clock=clock)
    sampler.sample()
    found = samples(page_of(sampler).plain())
    ((labels, value),) = found["gpuwise_gpu_sm_activity_ratio"]
    assert (labels["device_uuid"], labels["gpu_instance_id"], labels["gpu"], value) == ("MIG-0-7", "7", "0", 0.5)
