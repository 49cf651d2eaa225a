"""Law: whatever a call is refused with, what is shown is a part of what would be shown, and nothing else (I1)."""

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
# By other calls of the exporter's these say the same in other words, or are its way in and out.
OTHER_WORDS = {"nvmlDeviceGetMemoryInfo_v2"}
# A card that is cut cannot be without the mode.
NEVER_UNSUPPORTED = {"nvmlDeviceGetMigMode"}
DOORS = {"nvmlInitWithFlags", "nvmlShutdown", "nvmlErrorString"}
FUNCTIONS = sorted({symbol for name in called() for symbol in symbols(name)} - DOORS - OTHER_WORDS)
Shown = dict[tuple[str, str, tuple[str, ...]], float]


def shown(sweep: Sweep) -> Shown:
    told = {
        (reading.device.uuid, sample.metric.name, sample.labels): sample.value
        for reading in sweep.readings
        for sample in reading.samples
        if sample.metric not in (c.CARD_INFO, c.MIG_INFO)  # whose labels say what they know
    }
    for reading in sweep.readings:
        if reading.processes is not None:
            told[reading.device.uuid, "processes", ()] = float(len(reading.processes))
    return told


@pytest.fixture
def healthy(open_nvml: OpenNvml) -> tuple[Nvml, Shown]:
    nvml = open_nvml(CARDS)
    nvml.sweep()
    poll(lambda: nvml.sweep().readings[0].value(c.XID_LAST), what="the XID error")
    return nvml, shown(nvml.sweep())


@pytest.mark.parametrize("code", CODES.values(), ids=CODES)
def test_a_refused_call_takes_values_away_and_never_changes_one(
    healthy: tuple[Nvml, Shown], scenario: Scenario, code: int
):
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
        told = shown(sweep)
        wrong = {key: value for key, value in told.items() if everything.get(key) != value and key not in counted}
        assert wrong == {}, function
        assert sweep.dropped == (), function
        if code == pynvml.NVML_ERROR_NOT_SUPPORTED:
            assert sweep.errors == (), function
    scenario.play(CARDS)
    nvml.sweep()
    assert shown(nvml.sweep()).keys() == everything.keys()
