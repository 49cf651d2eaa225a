"""Law (I1): if an NVML call fails, some values are missing, and no other value changes."""

import pynvml
import pytest
from tests.collect.conftest import OpenNvml, Scenario
from tests.collect.nvml.test_functions import called, symbols
from tests.collect.scenarios import FULL, SHARED, SLICED, moved
from tests.prometheus_server import poll

from gpuwise.collect import catalogue as c
from gpuwise.collect.nvml import Nvml
from gpuwise.collect.reading import Sweep
from gpuwise.model.errors import DeviceError

CARDS = FULL + moved(SLICED, to=1) + moved(SHARED, to=2)
CODES = {
    "unsupported": pynvml.NVML_ERROR_NOT_SUPPORTED,
    "no permission": pynvml.NVML_ERROR_NO_PERMISSION,
    "lost": pynvml.NVML_ERROR_GPU_IS_LOST,
    "unknown": pynvml.NVML_ERROR_UNKNOWN,
}
# The exporter has a fallback for these calls that returns the same values.
HAS_FALLBACK = {"nvmlDeviceGetMemoryInfo_v2"}
# A card in MIG mode cannot lack support for the mode.
NEVER_UNSUPPORTED = {"nvmlDeviceGetMigMode"}
SESSION = {"nvmlInitWithFlags", "nvmlShutdown", "nvmlErrorString"}
FUNCTIONS = sorted({symbol for name in called() for symbol in symbols(name)} - SESSION - HAS_FALLBACK)
Shown = dict[tuple[str, str, tuple[str, ...]], float]


def shown(sweep: Sweep) -> Shown:
    reported = {
        (reading.device.uuid, sample.metric.name, sample.labels): sample.value
        for reading in sweep.readings
        for sample in reading.samples
        if sample.metric not in (c.CARD_INFO, c.MIG_INFO, c.HEALTH)  # they depend on other calls
    }
    for reading in sweep.readings:
        if reading.processes is not None:
            reported[reading.device.uuid, "processes", ()] = float(len(reading.processes))
    return reported


@pytest.fixture
def healthy(open_nvml: OpenNvml) -> tuple[Nvml, Shown]:
    nvml = open_nvml(CARDS)
    nvml.sweep()
    poll(lambda: nvml.sweep().readings[0].value(c.XID_LAST), what="the XID error")
    return nvml, shown(nvml.sweep())


@pytest.mark.parametrize("code", CODES.values(), ids=CODES)
def test_a_failing_call_removes_values_and_changes_none(healthy: tuple[Nvml, Shown], scenario: Scenario, code: int):
    nvml, everything = healthy
    counted = {(uuid, name, labels) for uuid, name, labels in everything if name.startswith("gpuwise_gpu_xid")}
    for function in FUNCTIONS:
        scenario.play(CARDS.replace("event 0 79 0.1\n", ""), f"fail {function} {code}")
        try:
            sweep = nvml.sweep()
        except DeviceError:
            continue
        if code == pynvml.NVML_ERROR_NOT_SUPPORTED and function in NEVER_UNSUPPORTED:
            continue
        reported = shown(sweep)
        wrong = {key: value for key, value in reported.items() if everything.get(key) != value and key not in counted}
        assert wrong == {}, function
        assert sweep.dropped == (), function
        if code == pynvml.NVML_ERROR_NOT_SUPPORTED:
            assert sweep.errors == (), function
    scenario.play(CARDS)
    nvml.sweep()
    assert shown(nvml.sweep()).keys() == everything.keys()


@pytest.mark.parametrize("code", [code for code in CODES.values() if code != pynvml.NVML_ERROR_NOT_SUPPORTED])
def test_a_failing_call_never_makes_a_card_look_healthier(open_nvml: OpenNvml, scenario: Scenario, code: int):
    """A fault that cannot be read is unknown: no verdict, and not "healthy"."""
    faults = ("remap.3 1", "sram 1", "field.59 3", "remap.2 1", "repair.1 1", "ecc.1.0 2", "field.230 1")
    card = FULL.replace("event 0 79 0.1\n", "")
    nvml = open_nvml(card)
    for fault in faults:
        for function in FUNCTIONS:
            scenario.play(card, f"gpu 0 {fault}", f"fail {function} {code}")
            try:
                readings = nvml.sweep().readings
            except DeviceError:
                continue
            healthy = [one for one in readings if one.value(c.HEALTH, "Healthy") is not None]
            assert healthy == [], (fault, function)
