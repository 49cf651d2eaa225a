"""dcgm-exporter's names and labels: values, units, rows of shared devices and of MIG instances."""

import re

import pytest
from tests.collect.conftest import OpenNvml, Scenario
from tests.collect.readings import ScriptedDevices, card, reading
from tests.collect.scenarios import FULL, SHARED, SLICED, moved
from tests.collect.serve.test_page import Samples, page_of, samples
from tests.collect.test_sampler import attributor_of

from gpuwise.collect import catalogue as c
from gpuwise.collect.attribution.allocation import Allocation, Container
from gpuwise.collect.metric import Kind
from gpuwise.collect.reading import Sweep
from gpuwise.collect.sampler import Sampler
from gpuwise.collect.serve.dcgm_fields import FIELDS
from gpuwise.collect.settings import Compat

POD = Container("research", "trainer-0", "main")
OTHER = Container("research", "notebook-0", "main")
_MIB = 2**20
# dcgm-exporter's etc/default-counters.csv, except VGPU_LICENSE_STATUS, which gpuwise does not read.
DEFAULT_COUNTERS = """
    DEV_SM_CLOCK DEV_MEM_CLOCK DEV_MEMORY_TEMP DEV_GPU_TEMP DEV_POWER_USAGE DEV_TOTAL_ENERGY_CONSUMPTION
    DEV_PCIE_REPLAY_COUNTER DEV_GPU_UTIL DEV_MEM_COPY_UTIL DEV_ENC_UTIL DEV_DEC_UTIL DEV_XID_ERRORS DEV_FB_FREE
    DEV_FB_USED DEV_FB_RESERVED DEV_NVLINK_BANDWIDTH_TOTAL DEV_UNCORRECTABLE_REMAPPED_ROWS
    DEV_CORRECTABLE_REMAPPED_ROWS DEV_ROW_REMAP_FAILURE PROF_GR_ENGINE_ACTIVE PROF_PIPE_TENSOR_ACTIVE PROF_DRAM_ACTIVE
    PROF_PCIE_TX_BYTES PROF_PCIE_RX_BYTES"""


def scraped(open_nvml: OpenNvml, scenario: str, *allocations: Allocation) -> Samples:
    sampler = Sampler(open_nvml(scenario), attributor_of(*allocations), interval_s=10)
    sampler.sample()
    sampler.sample()
    return samples(page_of(sampler, compat=Compat.DCGM).plain())


def by_pod(found: Samples, name: str) -> dict[str, float]:
    """The value of each pod, "" for the row without one."""
    rows = found[f"DCGM_FI_{name}"]
    values = {labels.get("pod", ""): value for labels, value in rows}
    assert len(values) == len(rows)
    return values


def total(found: Samples, name: str) -> float:
    return sum(value for _, value in found[f"DCGM_FI_{name}"])


def test_both_sets_of_names_have_the_same_values_in_their_units(open_nvml: OpenNvml):
    found = scraped(open_nvml, FULL, Allocation(POD, "GPU-aaaa"))
    scales = {"HERTZ": 1e6, "JOULES": 1e-3, "BYTES": _MIB, "RATIO": 0.01, "SECONDS": 1e-9}
    for field in FIELDS:
        if not field.old or not field.new or field.old == field.new or f"DCGM_FI_{field.old}" not in found:
            continue
        ((there, value),), ((here, other),) = found[f"DCGM_FI_{field.old}"], found[f"DCGM_FI_{field.new}"]
        words = field.new.removesuffix("_TOTAL").split("_")
        already = field.old.startswith("PROF") or field.old.endswith("PERCENT")  # both names have a ratio
        scale = 1.0 if already else scales.get(words[-1], 1.0)
        assert value * scale == pytest.approx(other), field.new
        assert (there["Hostname"], there["hostname"], here["hostname"]) == ("node-a", "node-a", "node-a")
        assert (there["DCGM_FI_DRIVER_VERSION"], here["DCGM_FI_SYSTEM_DRIVER_VERSION"]) == ("999.0-fake", "999.0-fake")
        assert "DCGM_FI_DRIVER_VERSION" not in here
        assert "Hostname" not in here


def test_the_labels_are_those_of_dcgm_exporter(open_nvml: OpenNvml):
    found = scraped(open_nvml, FULL, Allocation(POD, "GPU-aaaa"))
    assert found["DCGM_FI_DEV_GPU_UTIL"][0] == (
        {
            "gpu": "0",
            "UUID": "GPU-aaaa",
            "pci_bus_id": "00000000:1B:00.0",
            "device": "nvidia0",
            "modelName": "NVIDIA H100 80GB HBM3",
            "Hostname": "node-a",
            "hostname": "node-a",
            "DCGM_FI_DRIVER_VERSION": "999.0-fake",
            "container": "main",
            "namespace": "research",
            "pod": "trainer-0",
        },
        37.0,
    )
    unchanged, _ = found["DCGM_FI_DEV_ECC_DBE_VOL_TOTAL"][0]
    assert {"Hostname", "hostname", "DCGM_FI_DRIVER_VERSION", "DCGM_FI_SYSTEM_DRIVER_VERSION"} <= unchanged.keys()


def test_every_field_and_all_default_counters_are_served(open_nvml: OpenNvml):
    found = scraped(open_nvml, FULL.replace("event 0 79 0.1\n", ""))
    assert {f"DCGM_FI_{name}" for name in DEFAULT_COUNTERS.split()} <= found.keys()
    names = {f"DCGM_FI_{name}" for field in FIELDS for name in (field.old, field.new) if name}
    assert names <= found.keys(), names - found.keys()


def test_values_of_dcgm_are_in_its_units(open_nvml: OpenNvml):
    found = scraped(open_nvml, FULL)
    for name, value in {
        "DEV_FB_TOTAL": 81920.0,
        "DEV_FB_USED_PERCENT": 8589934592 / (85899345920 - 600_000_000),
        "DEV_FAN_SPEED": 30.0,
        "DEV_MAX_SM_CLOCK": 1980.0,
        "DEV_ENFORCED_POWER_LIMIT": 700.0,
        "DEV_POWER_MGMT_LIMIT": 650.0,
        "DEV_POWER_MGMT_LIMIT_MAX": 700.0,
        "DEV_CLOCKS_EVENT_REASONS": 4.0,
        "DEV_CLOCK_THROTTLE_REASONS": 4.0,
        "DEV_ECC_SBE_VOL_TOTAL": 3.0,
        "DEV_ECC_DBE_AGG_TOTAL": 1.0,
        "DEV_GPU_RECOVERY_ACTION": 0.0,
        "DEV_GPU_TEMP_LIMIT": 26.0,
    }.items():
        assert by_pod(found, name) == {"": pytest.approx(value)}, name


def test_the_types_are_dcgm_exporters(open_nvml: OpenNvml):
    sampler = Sampler(open_nvml(FULL), None, interval_s=10)
    sampler.sample()
    sampler.sample()
    page = page_of(sampler, compat=Compat.DCGM).plain().decode()
    types = dict(re.findall(r"^# TYPE DCGM_FI_(\w+) (\w+)$", page, re.MULTILINE))
    assert types["DEV_TOTAL_ENERGY_CONSUMPTION"] == types["DEV_POWER_VIOLATION"] == Kind.COUNTER
    assert types["DEV_ECC_DBE_VOL_TOTAL"] == types["DEV_PCIE_REPLAY_COUNTER"] == Kind.COUNTER
    assert types["DEV_XID_ERRORS"] == types["DEV_FB_USED"] == types["PROF_PCIE_TX_BYTES"] == Kind.GAUGE


def test_a_card_without_an_xid_error_shows_0(open_nvml: OpenNvml):
    found = scraped(open_nvml, SHARED)
    ((labels, value),) = found["DCGM_FI_DEV_XID_ERRORS"]
    assert (value, labels["err_code"]) == (0.0, "0")


def test_a_lost_card_keeps_its_xid_error():
    gpu = card()
    seen = reading(gpu, {c.XID_LAST: 79.0, c.POWER: 60.0})
    lost = reading(gpu, {c.XID_LAST: 79.0})
    sampler = Sampler(ScriptedDevices(Sweep((seen,)), Sweep((), (lost,))), None, interval_s=10)
    sampler.sample()
    sampler.sample()
    found = samples(page_of(sampler, compat=Compat.DCGM).plain())
    assert [(labels["UUID"], value) for labels, value in found["DCGM_FI_DEV_XID_ERRORS"]] == [("GPU-1", 79.0)]
    assert "DCGM_FI_DEV_POWER_USAGE" not in found


class TestShared:
    """A card with time-slicing."""

    BOTH = (Allocation(POD, "GPU-cccc::0"), Allocation(OTHER, "GPU-cccc::1"))

    def test_each_container_has_its_part_and_the_rest_has_no_pod(self, open_nvml: OpenNvml):
        found = scraped(open_nvml, SHARED + "gpu 0 gpm.1 40\ngpu 0 gpm.2 50\n", *self.BOTH)
        used = {"trainer-0": 4e9 / _MIB, "notebook-0": 2e9 / _MIB, "": 4e9 / _MIB}
        assert by_pod(found, "DEV_FB_USED") == pytest.approx(used)
        assert by_pod(found, "DEV_GPU_UTIL") == pytest.approx({"trainer-0": 60.0, "notebook-0": 15.0, "": 5.0})
        activity = {"trainer-0": 0.3, "notebook-0": 0.075, "": 0.025}
        assert by_pod(found, "PROF_GR_ENGINE_ACTIVE") == pytest.approx(activity)
        assert total(found, "PROF_SM_ACTIVE") == pytest.approx(0.5)

    def test_memory_sums_to_the_card(self, open_nvml: OpenNvml):
        found = scraped(open_nvml, SHARED + "gpu 0 reserved 500000000\n", *self.BOTH)
        parts = sum(total(found, f"DEV_FB_{part}") for part in ("USED", "FREE", "RESERVED"))
        assert parts == pytest.approx(total(found, "DEV_FB_TOTAL")) == pytest.approx(24e9 / _MIB)
        own = found["gpuwise_gpu_memory_used_bytes"]
        assert {labels["pod"]: value for labels, value in own} == pytest.approx(
            {"trainer-0": 4e9, "notebook-0": 2e9, "": 4e9}
        )

    def test_power_is_counted_once_and_what_describes_the_card_is_in_every_row(self, open_nvml: OpenNvml):
        found = scraped(open_nvml, SHARED + "gpu 0 temp 50\n", *self.BOTH)
        assert by_pod(found, "DEV_POWER_USAGE") == {"": 60.0}
        assert by_pod(found, "DEV_GPU_TEMP") == {"trainer-0": 50.0, "notebook-0": 50.0}

    def test_an_unknown_part_is_in_the_row_without_a_pod(self, open_nvml: OpenNvml):
        unknown = SHARED.replace("process 0 101", "process 0 901").replace("process 0 102", "process 0 902")
        found = scraped(open_nvml, unknown, *self.BOTH)
        assert by_pod(found, "DEV_FB_USED") == pytest.approx({"": 1e10 / _MIB})
        assert by_pod(found, "DEV_GPU_UTIL") == pytest.approx({"": 80.0})

    def test_an_idle_card_gives_every_container_0(self, open_nvml: OpenNvml):
        idle = re.sub(r"(process 0 \d+ \d+) \d+", r"\1 0", SHARED.replace("util 80", "util 0"))
        found = scraped(open_nvml, idle + "gpu 0 gpm.1 0\ngpu 0 gpm.2 0\n", *self.BOTH)
        for name in ("DEV_GPU_UTIL", "PROF_GR_ENGINE_ACTIVE", "PROF_SM_ACTIVE"):
            assert set(by_pod(found, name).values()) == {0.0}
            assert {"trainer-0", "notebook-0"} <= by_pod(found, name).keys()


class TestMig:
    """A card in MIG mode, of which one instance has a pod."""

    def test_the_uuid_is_the_cards_and_labels_name_the_instance(self, open_nvml: OpenNvml):
        found = scraped(open_nvml, SLICED, Allocation(POD, "MIG-1111"))
        assert "DCGM_FI_DEV_GPU_UTIL" not in found  # under MIG the driver reports 0 for a busy card (dcgm-exporter#216)
        one = next(labels for labels, value in found["DCGM_FI_PROF_SM_ACTIVE"] if value == 0.88)
        keys = ("UUID", "GPU_I_PROFILE", "GPU_I_ID", "pod")
        assert [one[key] for key in keys] == ["GPU-bbbb", "1g.10gb", "7", "trainer-0"]
        other = next(labels for labels, value in found["DCGM_FI_PROF_SM_ACTIVE"] if value == 0.0)
        assert "pod" not in other

    @pytest.mark.parametrize(("name", "card"), [("DEV_FB_USED", 1024.0), ("DEV_FB_TOTAL", 81920.0)])
    def test_memory_of_the_instances_and_what_they_leave_sum_to_the_card(
        self, open_nvml: OpenNvml, name: str, card: float
    ):
        found = scraped(open_nvml, SLICED, Allocation(POD, "MIG-1111"))
        rows = {labels.get("GPU_I_ID", ""): value for labels, value in found[f"DCGM_FI_{name}"]}
        assert rows.keys() == {"", "7", "2"}
        assert sum(rows.values()) == pytest.approx(card)
        own = {"DEV_FB_USED": "memory_used_bytes", "DEV_FB_TOTAL": "memory_total_bytes"}[name]
        assert sum(value for _, value in found[f"gpuwise_gpu_{own}"]) == pytest.approx(card * _MIB)

    def test_free_memory_is_that_of_each_row(self, open_nvml: OpenNvml):
        found = scraped(open_nvml, SLICED)
        rows = {labels.get("GPU_I_ID", ""): value for labels, value in found["DCGM_FI_DEV_FB_FREE"]}
        assert rows == {"7": 10240 - 512, "2": 40960.0, "": 81920 - 10240 - 40960 - 512}

    def test_instances_show_clocks_temperature_and_xid_of_their_card_but_not_its_power(self, open_nvml: OpenNvml):
        found = scraped(open_nvml, SLICED + "gpu 0 temp 50\ngpu 0 clock.1 1410\n", Allocation(POD, "MIG-1111"))
        for name in ("DEV_GPU_TEMP", "DEV_SM_CLOCK", "DEV_XID_ERRORS"):
            assert {labels.get("GPU_I_ID", "") for labels, _ in found[f"DCGM_FI_{name}"]} == {"", "7", "2"}
        assert [labels.get("GPU_I_ID") for labels, _ in found["DCGM_FI_DEV_POWER_USAGE"]] == [None]

    def test_without_an_instances_memory_the_rest_is_unknown(self, open_nvml: OpenNvml, scenario: Scenario):
        found = scraped(open_nvml, SLICED.replace("mig 0 3 used 0\n", ""))
        assert {labels.get("GPU_I_ID") for labels, _ in found["DCGM_FI_DEV_FB_USED"]} == {"7"}


def test_shared_and_divided_cards_together_sum_to_the_node(open_nvml: OpenNvml):
    both = (*TestShared.BOTH, Allocation(POD, "MIG-1111"))
    found = scraped(open_nvml, FULL + moved(SLICED, to=1) + moved(SHARED, to=2), *both)
    cards = (8589934592 + 1073741824 + 10_000_000_000) / _MIB
    assert total(found, "DEV_FB_USED") == pytest.approx(cards)
    assert total(found, "DEV_POWER_USAGE") == pytest.approx(312.5 + 210 + 60)


def test_they_are_absent_unless_enabled(open_nvml: OpenNvml):
    sampler = Sampler(open_nvml(FULL), None, interval_s=10)
    sampler.sample()
    assert b"DCGM" not in page_of(sampler).plain()
