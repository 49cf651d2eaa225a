import math
import threading
import time
from pathlib import Path

import pynvml
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.collect.conftest import Clock, OpenNvml, Scenario
from tests.collect.scenarios import FULL, H100, SHARED, SLICED, moved
from tests.given_cases import given_case
from tests.prometheus_server import poll

from gpuwise.collect import catalogue as c
from gpuwise.collect.metric import Scope
from gpuwise.collect.nvml import Nvml
from gpuwise.collect.reading import DriverReplaced, MigInstance, Process, Reading
from gpuwise.model.errors import DeviceError


def test_a_whole_gpu_is_read_in_base_units(open_nvml: OpenNvml, clock: Clock):
    nvml = open_nvml(H100)
    nvml.sweep()
    clock.now_s = 1002.5
    (reading,) = nvml.sweep().readings
    device = reading.device
    assert (device.uuid, device.index, device.model, device.mig) == ("GPU-aaaa", 0, "NVIDIA H100 80GB HBM3", None)
    assert reading.at_s == 1002.5
    assert reading.processes == (Process(1000, None), Process(1001, None))
    values = {metric: reading.value(metric) for metric in c.METRICS if metric.scope is Scope.DEVICE}
    assert {metric: value for metric, value in values.items() if value is not None} == {
        c.UTILIZATION: 0.37,
        c.SM_ACTIVITY: 0.415,
        c.TENSOR_ACTIVITY: 0.1225,
        c.DRAM_ACTIVITY: 0.30,
        c.MEMORY_USED: 8 * 2**30,
        c.MEMORY_TOTAL: 80 * 2**30,
        c.MEMORY_RESERVED: 0.0,
        c.POWER: 312.5,
        c.ENERGY: pytest.approx(123456.789),
    }


def test_every_value_of_a_full_card_is_read_in_base_units(open_nvml: OpenNvml):
    nvml = open_nvml(FULL)
    nvml.sweep()
    poll(lambda: nvml.sweep().readings[0].value(c.XID_LAST), what="the XID error")
    sweep = nvml.sweep()
    (reading,) = sweep.readings
    assert (sweep.errors, sweep.dropped) == ((), ())
    instances_only, later = {c.MIG_INFO}, {c.SAMPLED_AT, c.INFO, c.UP, c.PROCESS_COUNT, c.IDLE, c.PROCESSLESS}
    every = {metric for metric in c.METRICS if metric.scope is not Scope.CONTAINER}
    assert {sample.metric for sample in reading.samples} == every - instances_only - later
    expected = {
        (c.CLOCK, "memory"): 2.619e9,
        (c.THROTTLE_TIME, "sw_thermal"): 8e-6,
        (c.THROTTLE_TIME, "hw_thermal"): 9e-6,
        (c.THROTTLE_TIME, "hw_power_brake"): 10e-6,
        (c.CLOCK_MAX, "memory"): 2.619e9,
        (c.POWER_LIMIT_SETTING, "requested"): 650,
        (c.POWER_LIMIT_SETTING, "minimum"): 200,
        (c.MODULE_POWER,): 900,
        (c.MEMORY_POWER,): 85,
        (c.TEMPERATURE_THRESHOLD, "slowdown"): 92,
        (c.TEMPERATURE_MARGIN,): 26,
        (c.NVLINK_RATE, "receive"): 400 * 2**20,
        (c.RECOVERY_ACTION, "none"): 1.0,
        (c.RECOVERY_ACTION, "gpu_reset"): 0.0,
        (c.HEALTH, "Healthy"): 0.0,
        (c.NVLINK_BYTES, "transmit"): 7000 * 1024,
        (c.PCIE_BYTES, "receive"): 7000,
        (c.PCIE_RATE, "transmit"): 100 * 2**20,
        (c.TEMPERATURE, "memory"): 70,
        (c.FAN_SPEED,): 0.3,
        (c.ECC_ERRORS, "corrected", "aggregate"): 5,
        (c.THROTTLE_REASON, "sw_power_cap"): 1.0,
        (c.THROTTLE_REASON, "gpu_idle"): 0.0,
        (c.ENGINE_UTILIZATION, "decoder"): 0.04,
        (c.XID_ERRORS, "79"): 1.0,
        (c.PROCESS_SM, c.PROCESSES): 0.4,
    }
    assert {key: reading.value(*key) for key in expected} == pytest.approx(expected)
    for metric in {sample.metric for sample in reading.samples}:
        assert len([sample for sample in reading.samples if sample.metric is metric]) <= metric.most


def test_profiling_needs_two_samples_and_is_absent_after_one(open_nvml: OpenNvml):
    nvml = open_nvml(H100)
    first, second = nvml.sweep(), nvml.sweep()
    assert first.readings[0].value(c.SM_ACTIVITY) is None
    assert first.errors == ()
    assert second.readings[0].value(c.SM_ACTIVITY) is not None


def test_incident_dcgm_exporter_216_utilisation_is_absent_under_mig(open_nvml: OpenNvml):
    nvml = open_nvml(SLICED)
    nvml.sweep()
    card, one, three = nvml.sweep().readings
    assert card.device.mig is None
    assert card.value(c.POWER) == 210
    assert (one.device.mig, one.device.uuid) == (MigInstance(7, None, "1g.10gb"), "MIG-1111")
    assert (one.value(c.SM_ACTIVITY), one.value(c.MEMORY_USED)) == (0.88, 2**29)
    assert three.device.mig == MigInstance(2, None, "3g.40gb")
    assert (three.value(c.SM_ACTIVITY), three.value(c.MEMORY_USED)) == (0.0, 0.0)
    assert three.processes == ()
    assert all(reading.value(c.UTILIZATION) is None for reading in (card, one, three))


def test_an_instance_has_its_placement_and_its_processes(open_nvml: OpenNvml):
    place = {"compute_instance_id": 0, "profile_id": 19, "start": 4, "size": 1}
    more = "".join(f"mig 0 0 {key} {value}\n" for key, value in place.items())
    processes = "process 0 11 1000 0 7\nprocess 0 12 2000 0 2\n"
    text = SLICED.replace("mig 0 0 processes 1\n", more).replace("gpu 0 processes 1\n", processes)
    nvml = open_nvml(text.replace("mig 0 3 processes 0\n", ""))
    card, one, three = nvml.sweep().readings
    assert one.device.mig == MigInstance(7, 0, "1g.10gb", 19, 4, 1)
    assert one.value(c.MIG_INFO, "GPU-bbbb", "1g.10gb", "7", "0", "4", "1") == 1.0
    assert one.processes == (Process(11, 1000.0),)
    assert three.processes == (Process(12, 2000.0),)
    assert {process.pid for process in card.processes or ()} == {11, 12}


def test_an_unsupported_value_is_absent_and_not_an_error(open_nvml: OpenNvml):
    sweep = open_nvml("gpu 0 uuid GPU-old", "gpu 0 name Tesla T4").sweep()
    (reading,) = sweep.readings
    reported = {sample.metric for sample in reading.samples}
    assert reported == {c.CARD_INFO}
    assert (reading.processes, reading.sm_time) == (None, None)
    assert sweep.errors == ()


def test_zero_stays_zero(open_nvml: OpenNvml):
    idle = "\n".join(f"gpu 0 {key} 0" for key in ("util", "power", "used", "processes", "energy"))
    (reading,) = open_nvml("gpu 0 uuid GPU-idle", "gpu 0 total 1024", idle).sweep().readings
    for metric in (c.UTILIZATION, c.POWER, c.MEMORY_USED, c.ENERGY):
        assert reading.value(metric) == 0.0
    assert reading.processes == ()


@pytest.mark.parametrize("sentinel", [4294967295, 9223372036854775794, 18446744073709551615])
def test_incident_dcgm_199_sentinels_are_dropped_and_counted(open_nvml: OpenNvml, sentinel: int):
    keys = ("util", "power", "energy", "fan", "temp", "clock.1", "ecc.0.0", "field.82", "field.94", "linkgen")
    wrong = [f"gpu 0 {key} {sentinel}" for key in keys]
    sweep = open_nvml(H100, *wrong, f"gpu 0 total {2**63}", f"gpu 0 used {2**62}").sweep()
    reported = {sample.metric for sample in sweep.readings[0].samples}
    dropped = {c.UTILIZATION, c.POWER, c.FAN_SPEED, c.TEMPERATURE, c.CLOCK, c.ECC_ERRORS, c.PCIE_REPLAYS}
    dropped |= {c.PCIE_GENERATION, c.MEMORY_USED, c.MEMORY_TOTAL}
    if sentinel > 2**32:  # 4294967 J is 71 minutes at 1 kW: a 64-bit counter can have this value
        dropped |= {c.ENERGY}
    assert set(sweep.dropped) == dropped
    assert not reported & dropped


def test_a_dropped_value_that_might_show_a_fault_is_not_read_as_healthy(open_nvml: OpenNvml, scenario: Scenario):
    healthy = FULL.replace("event 0 79 0.1\n", "")
    nvml = open_nvml(healthy)
    assert nvml.sweep().readings[0].value(c.HEALTH, "Healthy") == 0.0
    scenario.play(healthy, "gpu 0 ecc.1.0 4294967295")
    sweep = nvml.sweep()
    assert sweep.dropped == (c.ECC_ERRORS,)
    assert sweep.readings[0].value(c.HEALTH) is None
    scenario.play(healthy, "gpu 0 fan 4294967295")
    assert nvml.sweep().readings[0].value(c.HEALTH, "Healthy") == 0.0


@pytest.fixture
def watched(open_nvml: OpenNvml, scenario: Scenario) -> tuple[Nvml, Scenario]:
    """An NVML session that has taken its first samples."""
    nvml = open_nvml(H100)
    nvml.sweep()
    return nvml, scenario


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.floats(allow_nan=True, allow_infinity=True))
def test_a_gpm_value_is_in_range_or_absent(watched: tuple[Nvml, Scenario], value: float):
    nvml, scenario = watched
    scenario.play(H100, f"gpu 0 gpm.2 {value}")
    sweep = nvml.sweep()
    plausible = math.isfinite(value) and 0.0 <= value / 100 <= 1.0
    assert (sweep.readings[0].value(c.SM_ACTIVITY) is not None) == plausible
    assert (c.SM_ACTIVITY in sweep.dropped) == (not plausible)


def test_incident_dcgm_exporter_662_a_false_zero_of_one_sensor_does_not_affect_the_others(open_nvml: OpenNvml):
    nvml = open_nvml(H100.replace("gpm.2 41.5", "gpm.2 0"), "gpu 0 util 99")
    nvml.sweep()
    (reading,) = nvml.sweep().readings
    assert reading.value(c.SM_ACTIVITY) == 0.0
    assert reading.value(c.UTILIZATION, c.RATES) == 0.99
    assert reading.value(c.POWER) == 312.5
    assert len(reading.processes or ()) == 2


def test_each_gpm_metric_is_checked_for_its_own_return_code(open_nvml: OpenNvml):
    nvml = open_nvml(H100, f"gpu 0 gpm_code.2 {pynvml.NVML_ERROR_UNKNOWN}")
    nvml.sweep()
    sweep = nvml.sweep()
    assert sweep.readings[0].value(c.SM_ACTIVITY) is None
    assert sweep.readings[0].value(c.TENSOR_ACTIVITY) == 0.1225
    assert sweep.errors == ("NVML_ERROR_UNKNOWN",)


def test_a_failed_gpm_sample_loses_the_next_comparison_as_well(open_nvml: OpenNvml, scenario: Scenario):
    nvml = open_nvml(H100)
    nvml.sweep()
    scenario.play(H100, "fail nvmlGpmSampleGet 999")
    assert nvml.sweep().errors == ("NVML_ERROR_UNKNOWN",)
    scenario.play(H100)
    assert nvml.sweep().readings[0].value(c.SM_ACTIVITY) is None
    assert nvml.sweep().readings[0].value(c.SM_ACTIVITY) == 0.415


def test_gpm_follows_a_ramp(open_nvml: OpenNvml):
    nvml = open_nvml(H100, "gpu 0 gpm.2 10+100000/s..60")
    nvml.sweep()
    poll(lambda: nvml.sweep().readings[0].value(c.SM_ACTIVITY) == 0.6, what="the top of the ramp")


def test_before_hopper_activity_comes_from_process_samples(open_nvml: OpenNvml):
    (reading,) = open_nvml(SHARED).sweep().readings
    assert reading.sm_time == {101: 0.6, 102: 0.15, 103: 0.05}
    assert reading.value(c.PROCESS_SM, c.PROCESSES) == pytest.approx(0.8)
    assert reading.value(c.SM_ACTIVITY) is None


def test_inactive_processes_are_known_and_give_no_zero(open_nvml: OpenNvml):
    (reading,) = (
        open_nvml(SHARED.replace(" 60\n", " 0\n").replace(" 15\n", " 0\n").replace(" 5\n", " 0\n")).sweep().readings
    )
    assert reading.sm_time == {}
    assert reading.value(c.PROCESS_SM) is None
    assert len(reading.processes or ()) == 3


def test_success_without_process_samples_means_that_no_process_works(open_nvml: OpenNvml):
    idle = SHARED.replace(" 60\n", " 0\n").replace(" 15\n", " 0\n").replace(" 5\n", " 0\n")
    sweep = open_nvml(idle, f"gpu 0 no_samples {pynvml.NVML_SUCCESS}").sweep()
    assert sweep.readings[0].sm_time == {}
    assert sweep.errors == ()


def test_a_sentinel_among_process_samples_makes_all_times_unknown(open_nvml: OpenNvml):
    sweep = open_nvml(SHARED.replace(" 60\n", " 4294967295\n")).sweep()
    assert sweep.readings[0].sm_time is None
    assert sweep.dropped == (c.PROCESS_SM,)


def test_mps_clients_are_processes(open_nvml: OpenNvml):
    (reading,) = open_nvml(SHARED, "mps 0 201 5000000").sweep().readings
    assert Process(201, 5e6) in (reading.processes or ())


def test_memory_is_read_from_a_driver_without_the_newer_call(open_nvml: OpenNvml):
    (reading,) = open_nvml(H100, "gpu 0 reserved 1024", "fail nvmlDeviceGetMemoryInfo_v2 13").sweep().readings
    assert reading.value(c.MEMORY_USED) == 8 * 2**30 + 1024
    assert reading.value(c.MEMORY_RESERVED) is None


def test_throttle_reasons_are_read_from_an_older_driver(open_nvml: OpenNvml):
    (reading,) = open_nvml(H100, "gpu 0 reasons 64", "fail nvmlDeviceGetCurrentClocksEventReasons 13").sweep().readings
    assert reading.value(c.THROTTLE_REASON, "hw_thermal") == 1.0


@pytest.mark.parametrize(
    ("driver", "known"),
    [
        ("570.133.20", False),
        ("575.51.03", True),
        ("575.64.05", True),
        ("580.65.06", True),
        ("580.76.05", False),
        ("580.82.07", True),
        ("590.44.01", True),
        ("unknown", False),
    ],
)
def test_throttle_times_have_the_field_ids_of_the_driver_s_branch(open_nvml: OpenNvml, driver: str, known: bool):  # noqa: FBT001 - a parameter of the test
    """Other branches have settings of power smoothing under the same ids: a wrong id would be a wrong time."""
    (reading,) = open_nvml(FULL, f"driver {driver}").sweep().readings
    expected = (8e-6, 9e-6, 10e-6) if known else (None, None, None)
    found = tuple(reading.value(c.THROTTLE_TIME, one) for one in ("sw_thermal", "hw_thermal", "hw_power_brake"))
    assert found == expected
    assert reading.value(c.THROTTLE_TIME, "thermal") == 7e-6


@pytest.mark.parametrize(("driver", "watts"), [("545.23.08", None), ("550.54.15", 900.0)])
def test_module_power_is_asked_of_drivers_that_know_scopes(open_nvml: OpenNvml, driver: str, watts: float | None):
    (reading,) = open_nvml(FULL, "gpu 0 field.186 312000", f"driver {driver}").sweep().readings
    assert reading.value(c.MODULE_POWER) == watts


def test_a_negative_margin_is_a_temperature_above_the_limit(open_nvml: OpenNvml):
    (reading,) = open_nvml(FULL, "gpu 0 margin -3").sweep().readings
    assert reading.value(c.TEMPERATURE_MARGIN) == -3.0


def test_a_lost_gpu_loses_only_its_own_values_and_is_reported(open_nvml: OpenNvml, scenario: Scenario, clock: Clock):
    two = H100 + moved(SHARED, to=1)
    nvml = open_nvml(two)
    clock.now_s = 2000.0
    nvml.sweep()
    scenario.play(two, f"fail nvmlDeviceGetHandleByIndex_v2 {pynvml.NVML_ERROR_GPU_IS_LOST} 1")
    clock.now_s = 2010.0
    sweep = nvml.sweep()
    assert [reading.device.uuid for reading in sweep.readings] == ["GPU-aaaa"]
    assert [(one.device.uuid, one.at_s) for one in sweep.lost] == [("GPU-cccc", 2000.0)]
    assert sweep.errors == ("NVML_ERROR_GPU_IS_LOST",)
    scenario.play(two)
    assert nvml.sweep().lost == ()


def test_xid_79_is_counted_although_the_card_no_longer_answers_its_uuid(open_nvml: OpenNvml, clock: Clock):
    two = H100 + moved(SHARED, to=1)
    clock.now_s = 3000.0
    nvml = open_nvml(two, "lost 1 0.2", "event 1 79 0.25")
    nvml.sweep()
    lost: list[Reading] = []

    def counted() -> bool:
        lost[:] = nvml.sweep().lost
        return bool(lost) and lost[0].value(c.XID_LAST) is not None

    poll(counted, what="the XID error of the lost card")
    assert [one.device.uuid for one in lost] == ["GPU-cccc"]
    assert {sample.metric: (sample.labels, sample.value) for sample in lost[0].samples} == {
        c.XID_ERRORS: (("79",), 1.0),
        c.XID_LAST_AT: (("79",), 3000.0),
        c.XID_LAST: ((), 79.0),
        c.HEALTH: (("Lost",), 2.0),
    }
    sweep = nvml.sweep()
    assert [one.device.uuid for one in sweep.readings] == ["GPU-aaaa"]
    assert sweep.errors == ("NVML_ERROR_GPU_IS_LOST",)


@pytest.mark.parametrize("function", ["nvmlDeviceGetPowerUsage", "nvmlDeviceGetComputeRunningProcesses_v3"])
def test_a_card_is_lost_if_any_of_its_calls_says_so(
    open_nvml: OpenNvml, scenario: Scenario, clock: Clock, function: str
):
    """The driver answers some calls from memory, so the card must not look as if it answered; it is one error."""
    nvml = open_nvml(H100)
    clock.now_s = 2000.0
    nvml.sweep()
    scenario.play(H100, f"fail {function} {pynvml.NVML_ERROR_GPU_IS_LOST}")
    clock.now_s = 2010.0
    sweep = nvml.sweep()
    assert (sweep.readings, sweep.errors) == ((), ("NVML_ERROR_GPU_IS_LOST",))
    assert [(one.device.uuid, one.at_s) for one in sweep.lost] == [("GPU-aaaa", 2000.0)]
    clock.now_s = 2020.0
    assert [one.at_s for one in nvml.sweep().lost] == [2000.0]


def test_a_card_that_was_lost_before_the_start_is_known_by_its_index(open_nvml: OpenNvml, scenario: Scenario):
    two = H100 + moved(SHARED, to=1)
    nvml = open_nvml(two, "lost 1")
    (lost,) = nvml.sweep().lost
    assert (lost.device.uuid, lost.device.index, lost.value(c.HEALTH, "Lost")) == ("", 1, 2.0)
    assert math.isnan(lost.at_s)
    assert len(nvml.sweep().lost) == 1
    scenario.play(two)
    assert nvml.sweep().lost == ()
    scenario.play(two, "lost 1")
    assert [one.device.uuid for one in nvml.sweep().lost] == ["GPU-cccc"]


def test_a_lost_mig_card_loses_its_instances(open_nvml: OpenNvml, scenario: Scenario):
    nvml = open_nvml(SLICED)
    nvml.sweep()
    scenario.play(SLICED, "lost 0")
    sweep = nvml.sweep()
    assert (sweep.readings, [one.device.uuid for one in sweep.lost]) == ((), ["GPU-bbbb"])


def test_a_gpu_that_is_no_longer_listed_is_lost_and_its_successor_at_the_index_is_not(
    open_nvml: OpenNvml, scenario: Scenario
):
    nvml = open_nvml(H100 + moved(SHARED, to=1))
    nvml.sweep()
    scenario.play(SHARED)
    sweep = nvml.sweep()
    assert [reading.device.uuid for reading in sweep.readings] == ["GPU-cccc"]
    assert [one.device.uuid for one in sweep.lost] == ["GPU-aaaa"]


def test_a_recreated_mig_instance_starts_a_new_pair_of_samples(open_nvml: OpenNvml, scenario: Scenario):
    nvml = open_nvml(SLICED)
    nvml.sweep()
    scenario.play(SLICED.replace("MIG-1111", "MIG-9999"))
    _, fresh, old = nvml.sweep().readings
    assert fresh.value(c.SM_ACTIVITY) is None
    assert old.value(c.SM_ACTIVITY) is not None


def test_a_missing_driver_is_a_device_error_with_a_hint(fake_nvml: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("GPUWISE_FAKE_NVML", raising=False)
    with pytest.raises(DeviceError, match=r"Driver Not Loaded; install the NVIDIA driver"):
        Nvml(fake_nvml)


def test_a_missing_library_is_a_device_error(tmp_path: Path):
    with pytest.raises(DeviceError, match=r"none\.so.*name a libnvidia-ml\.so\.1"):
        Nvml(tmp_path / "none.so")


def test_devices_that_cannot_be_listed_are_an_error_not_an_empty_node(open_nvml: OpenNvml):
    with pytest.raises(DeviceError, match="cannot list the devices"):
        open_nvml(H100, "fail nvmlDeviceGetCount_v2 15").sweep()


def test_a_reloaded_driver_is_opened_again(open_nvml: OpenNvml, scenario: Scenario):
    nvml = open_nvml(H100)
    nvml.sweep()
    scenario.play(H100, "reload 0 1000")
    for _ in range(2):
        with pytest.raises(DeviceError):
            nvml.sweep()
    assert nvml.driver.reloads == 0
    scenario.play(H100, "driver 999.1-fake")
    (reading,) = nvml.sweep().readings
    assert reading.value(c.SM_ACTIVITY) is None  # the previous sample is from the previous driver
    assert nvml.sweep().readings[0].value(c.SM_ACTIVITY) == 0.415
    assert (nvml.driver.version, nvml.driver.reloads) == ("999.1-fake", 1)


def test_a_driver_of_another_version_ends_the_sampling(open_nvml: OpenNvml, scenario: Scenario):
    nvml = open_nvml(H100)
    scenario.play(H100, "reload 0 1000")
    with pytest.raises(DeviceError):
        nvml.sweep()
    scenario.play(H100, f"fail nvmlInitWithFlags {pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH}")
    with pytest.raises(DriverReplaced, match="restart the exporter"):
        nvml.sweep()


def test_incident_k8s_device_plugin_1431_the_case_mismatch_at_the_start_asks_to_reload_the_driver(open_nvml: OpenNvml):
    """To restart the exporter never helps: the next process loads the same library and finds the same driver."""
    with pytest.raises(DeviceError) as caught:
        open_nvml((given_case("reading", "mismatch-at-the-start") / "scenario").read_text())
    assert not isinstance(caught.value, DriverReplaced)
    assert "different versions" in str(caught.value)
    assert "reload the driver" in str(caught.value)
    assert "reboot the node" in str(caught.value)
    assert "while the exporter was running" not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        (pynvml.NVML_ERROR_DRIVER_NOT_LOADED, "install the NVIDIA driver"),
        (pynvml.NVML_ERROR_NO_PERMISSION, "/dev/nvidiactl"),
        (pynvml.NVML_ERROR_GPU_IS_LOST, "fallen off the bus"),
        (pynvml.NVML_ERROR_RESET_REQUIRED, "nvidia-smi --gpu-reset"),
        (pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH, "reload the driver"),
    ],
)
def test_an_error_at_the_start_has_a_hint_of_its_own(open_nvml: OpenNvml, code: int, hint: str):
    with pytest.raises(DeviceError, match=hint):
        open_nvml(H100, f"fail nvmlInitWithFlags {code}")


def test_xid_errors_are_counted_by_code_with_the_time_of_the_last(open_nvml: OpenNvml, clock: Clock):
    clock.now_s = 5000.0
    nvml = open_nvml(H100, "event 0 13 0", "event 0 13 0.05", "event 0 79 0.1")
    found: list[Reading] = []

    def all_counted() -> bool:
        found[:] = nvml.sweep().readings
        return found[0].value(c.XID_LAST) == 79.0

    poll(all_counted, what="the three errors")
    assert (found[0].value(c.XID_ERRORS, "13"), found[0].value(c.XID_ERRORS, "79")) == (2.0, 1.0)
    assert found[0].value(c.XID_LAST_AT, "13") == found[0].value(c.XID_LAST_AT, "79") == 5000.0


def test_xid_errors_are_counted_after_a_reload(open_nvml: OpenNvml, scenario: Scenario):
    nvml = open_nvml(H100)
    scenario.play(H100, "reload 0 1000")
    with pytest.raises(DeviceError):
        nvml.sweep()
    scenario.play(H100, "event 0 48 0")
    poll(lambda: nvml.sweep().readings[0].value(c.XID_ERRORS, "48"), what="an XID error after the reload")


def test_xid_errors_of_one_card_are_counted_after_another_fell_off_the_bus(open_nvml: OpenNvml, scenario: Scenario):
    two = H100 + moved(SHARED, to=1)
    nvml = open_nvml(two)
    lost = "fail nvmlDeviceGetHandleByIndex_v2 15 1"
    scenario.play(two, lost, "fail nvmlEventSetWait_v2 15")
    poll(lambda: nvml._xids._set is None, what="the wait being refused")
    scenario.play(two, lost, "event 0 94 0")
    poll(lambda: nvml.sweep().readings[0].value(c.XID_ERRORS, "94"), what="the other card's XID error")


def test_codes_beyond_the_limit_are_counted_together(open_nvml: OpenNvml):
    nvml = open_nvml(H100)
    for code in range(100):
        nvml._xids._record("GPU-aaaa", code)
    samples = [sample for sample in nvml._xids.samples("GPU-aaaa") if sample.metric is c.XID_ERRORS]
    assert len(samples) <= c.XID_ERRORS.most
    assert {"74", "79", "95"} <= {sample.labels[0] for sample in samples}
    assert sum(sample.value for sample in samples) == 100


def test_closing_does_not_wait_for_a_driver_that_hangs(open_nvml: OpenNvml, scenario: Scenario):
    nvml = open_nvml(H100)
    nvml.sweep()
    scenario.play(H100, "hang nvmlEventSetWait_v2", "hang nvmlShutdown")
    time.sleep(0.4)  # there is no event for the end of the previous wait of 0.2 s and the start of the one that hangs
    closing = threading.Thread(target=nvml.close)
    closing.start()
    closing.join(timeout=60)
    ended = not closing.is_alive()
    scenario.play(H100)
    assert ended
