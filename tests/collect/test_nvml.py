import ast
import inspect
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pynvml
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gpuwise.collect.nvml
from gpuwise.collect.nvml import Nvml
from gpuwise.model.errors import DeviceError
from gpuwise.model.signal import SIGNALS, Signal
from gpuwise.model.usage import MigInstance

from .conftest import H100, SLICED, Scenario

OpenNvml = Callable[..., Nvml]


def test_a_whole_gpu_is_read_in_base_units(open_nvml: OpenNvml):
    nvml = open_nvml(H100)
    nvml.sweep(1.0)
    (reading,) = nvml.sweep(2.5).readings
    assert (reading.device_uuid, reading.index, reading.product) == ("GPU-aaaa", 0, "NVIDIA H100 80GB HBM3")
    assert reading.at_s == 2.5
    assert reading.mig is None
    assert reading.processes == 2
    assert reading.memory_total_bytes == 80 * 2**30
    assert reading.energy_joules == pytest.approx(123456.789)
    assert reading.signals == pytest.approx(
        {
            Signal.GPU_UTIL: 0.37,
            Signal.SM_ACTIVITY: 0.415,
            Signal.TENSOR_ACTIVITY: 0.1225,
            Signal.DRAM_ACTIVITY: 0.30,
            Signal.MEMORY_USED: 8 * 2**30,
            Signal.POWER: 312.5,
        }
    )


def test_profiling_needs_two_samples_and_is_absent_after_one(open_nvml: OpenNvml):
    nvml = open_nvml(H100)
    first, second = nvml.sweep(1.0), nvml.sweep(2.0)
    assert Signal.SM_ACTIVITY not in first.readings[0].signals
    assert first.errors == ()
    assert Signal.SM_ACTIVITY in second.readings[0].signals


def test_incident_dcgm_exporter_216_utilisation_is_absent_under_mig(open_nvml: OpenNvml):
    nvml = open_nvml(SLICED)
    nvml.sweep(1.0)
    card, one, three = nvml.sweep(2.0).readings
    assert card.mig is None
    assert card.signals[Signal.POWER] == 210
    assert one.mig == MigInstance(7, "1g.10gb")
    assert one.device_uuid == "MIG-1111"
    assert one.signals == {Signal.SM_ACTIVITY: 0.88, Signal.MEMORY_USED: 2**29}
    assert three.mig == MigInstance(2, "3g.40gb")
    assert three.signals == {Signal.SM_ACTIVITY: 0.0, Signal.MEMORY_USED: 0.0}
    assert three.processes == 0
    assert all(Signal.GPU_UTIL not in reading.signals for reading in (card, one, three))


def test_what_a_board_does_not_support_is_absent_and_no_error(open_nvml: OpenNvml):
    sweep = open_nvml("gpu 0 uuid GPU-old", "gpu 0 name Tesla T4").sweep(1.0)
    (reading,) = sweep.readings
    assert reading.signals == {}
    assert (reading.processes, reading.memory_total_bytes, reading.energy_joules) == (None, None, None)
    assert sweep.errors == ()


def test_zero_stays_zero(open_nvml: OpenNvml):
    idle = "\n".join(f"gpu 0 {key} 0" for key in ("util", "power", "used", "processes", "energy"))
    (reading,) = open_nvml("gpu 0 uuid GPU-idle", "gpu 0 total 1024", idle).sweep(1.0).readings
    assert reading.signals == {Signal.GPU_UTIL: 0.0, Signal.POWER: 0.0, Signal.MEMORY_USED: 0.0}
    assert (reading.processes, reading.energy_joules) == (0, 0.0)


@pytest.mark.parametrize("sentinel", [4294967295, 9223372036854775794, 18446744073709551615])
def test_incident_dcgm_199_sentinels_are_dropped_and_counted(open_nvml: OpenNvml, sentinel: int):
    wrong = [f"gpu 0 {key} {sentinel}" for key in ("util", "power", "energy")]
    sweep = open_nvml(H100, *wrong, f"gpu 0 total {2**63}", f"gpu 0 used {2**62}").sweep(1.0)
    assert sweep.readings[0].signals == {}
    assert sweep.readings[0].memory_total_bytes is None
    assert sorted(sweep.dropped) == sorted([Signal.GPU_UTIL, Signal.POWER, Signal.MEMORY_USED])


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.floats(allow_nan=True, allow_infinity=True))
def test_whatever_gpm_says_is_in_range_or_absent(open_nvml: OpenNvml, value: float):
    nvml = open_nvml(H100, f"gpu 0 gpm.2 {value}")
    nvml.sweep(1.0)
    sweep = nvml.sweep(2.0)
    got = sweep.readings[0].signals.get(Signal.SM_ACTIVITY)
    believable = 0.0 <= value / 100 <= SIGNALS[Signal.SM_ACTIVITY].highest
    assert (got is not None) == believable
    assert (Signal.SM_ACTIVITY in sweep.dropped) == (not believable)


def test_each_gpm_metric_is_checked_for_its_own_return_code(open_nvml: OpenNvml):
    nvml = open_nvml(H100, f"gpu 0 gpm_code.2 {pynvml.NVML_ERROR_UNKNOWN}")
    nvml.sweep(1.0)
    sweep = nvml.sweep(2.0)
    assert Signal.SM_ACTIVITY not in sweep.readings[0].signals
    assert sweep.readings[0].signals[Signal.TENSOR_ACTIVITY] == 0.1225
    assert sweep.errors == ("NVML_ERROR_UNKNOWN",)


def test_a_failed_gpm_sample_costs_the_next_comparison_too(open_nvml: OpenNvml, scenario: Scenario):
    nvml = open_nvml(H100)
    nvml.sweep(1.0)
    scenario.play(H100, "fail nvmlGpmSampleGet 999")
    assert nvml.sweep(2.0).errors == ("NVML_ERROR_UNKNOWN",)
    scenario.play(H100)
    assert Signal.SM_ACTIVITY not in nvml.sweep(3.0).readings[0].signals
    assert Signal.SM_ACTIVITY in nvml.sweep(4.0).readings[0].signals


def test_a_lost_gpu_costs_its_own_signals_only(open_nvml: OpenNvml):
    neighbour = H100.replace("gpu 0", "gpu 1").replace("GPU-aaaa", "GPU-cccc")
    lost = [f"fail {call} 15 0" for call in ("nvmlDeviceGetPowerUsage", "nvmlDeviceGetUtilizationRates")]
    sweep = open_nvml(H100, neighbour, *lost).sweep(1.0)
    assert sweep.errors == ("NVML_ERROR_GPU_IS_LOST",) * 2
    broken, whole = sweep.readings
    assert Signal.POWER not in broken.signals
    assert {Signal.POWER, Signal.GPU_UTIL} <= whole.signals.keys()


def test_a_gpu_whose_handle_is_refused_is_left_out_and_counted(open_nvml: OpenNvml):
    neighbour = H100.replace("gpu 0", "gpu 1").replace("GPU-aaaa", "GPU-cccc")
    sweep = open_nvml(H100, neighbour, "fail nvmlDeviceGetHandleByIndex_v2 15 0").sweep(1.0)
    assert [reading.device_uuid for reading in sweep.readings] == ["GPU-cccc"]
    assert sweep.errors == ("NVML_ERROR_GPU_IS_LOST",)


def test_a_recreated_mig_instance_starts_its_profiling_anew(open_nvml: OpenNvml, scenario: Scenario):
    nvml = open_nvml(SLICED)
    nvml.sweep(1.0)
    scenario.play(SLICED.replace("MIG-1111", "MIG-9999"))
    _, fresh, old = nvml.sweep(2.0).readings
    assert Signal.SM_ACTIVITY not in fresh.signals
    assert Signal.SM_ACTIVITY in old.signals


def test_no_driver_is_a_device_error_that_says_what_to_do(fake_nvml: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("GPUWISE_FAKE_NVML", raising=False)
    with pytest.raises(DeviceError, match=r"Driver Not Loaded; install the NVIDIA driver"):
        Nvml(fake_nvml)


def test_a_library_that_is_not_there_is_a_device_error(tmp_path: Path):
    with pytest.raises(DeviceError, match=r"none\.so.*name a libnvidia-ml\.so\.1"):
        Nvml(tmp_path / "none.so")


def test_devices_that_cannot_be_listed_are_an_error_not_an_empty_node(open_nvml: OpenNvml):
    with pytest.raises(DeviceError, match="lists no devices"):
        open_nvml(H100, "fail nvmlDeviceGetCount_v2 15").sweep(1.0)


def test_the_fake_has_every_function_that_the_source_calls(fake_nvml: Path):
    tree = ast.parse(inspect.getsource(gpuwise.collect.nvml))
    called = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr.startswith("nvml") and hasattr(pynvml, node.attr)
        if callable(getattr(pynvml, node.attr))
    }
    assert len(called) > 15
    symbols = {symbol for name in called for symbol in _symbols(name)}
    listed = subprocess.run(
        ["nm", "-D", "--defined-only", fake_nvml], capture_output=True, text=True, check=True
    ).stdout
    assert symbols <= set(re.findall(r" T (nvml\w+)", listed))


def _symbols(name: str) -> set[str]:
    """The C functions that a pynvml function looks up, through the pynvml functions that it calls."""
    source = inspect.getsource(getattr(pynvml, name))
    inner = {call for call in re.findall(r"\b(nvml\w+)\(", source) if call != name and hasattr(pynvml, call)}
    direct = set(re.findall(r'_nvmlGetFunctionPointer\("(\w+)"\)', source))
    if "version" in inspect.signature(getattr(pynvml, name)).parameters:
        direct = {symbol for symbol in direct if not symbol.endswith("_v2")}  # we pass no version
    functions = {call for call in inner if inspect.isfunction(getattr(pynvml, call)) and "Struct" not in call}
    return direct.union(*(_symbols(call) for call in functions))
