"""What the exporter's values are compared with: nvidia-smi in two forms, or the scenario of the fake NVML."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Quantity:
    """A value that the reference and the exporter have.

    Attributes:
        name: for the document.
        query: of the reference: an nvidia-smi query, a column of dmon, or a key of the fake's scenario.
        metric: of the exporter.
        labels: of the series.
        unit: the reference's unit, in the exporter's.
        tolerance: in the exporter's unit.
    """

    name: str
    query: str
    metric: str
    labels: Mapping[str, str]
    unit: float = 1.0
    tolerance: float = 0.0


class Reference(Protocol):
    """Something that reads the same GPU, or knows its values."""

    quantities: Sequence[Quantity]

    def values(self) -> dict[str, float | None]:
        """The values by name of the quantity, in the exporter's units; None for one that the GPU does not support."""
        ...


def _gpu(name: str, query: str, metric: str, unit: float = 1.0, tolerance: float = 0.0, **labels: str) -> Quantity:
    return Quantity(name, query, f"gpuwise_gpu_{metric}", labels, unit, tolerance)


class _QueryGpu:
    """`nvidia-smi --query-gpu` of the first GPU."""

    quantities: Sequence[Quantity] = (
        _gpu("power", "power.draw.instant", "power_watts", tolerance=15.0),
        _gpu("power limit", "power.limit", "power_limit_watts", tolerance=0.5),
        _gpu("power limit, minimum", "power.min_limit", "power_limit_setting_watts", tolerance=0.5, setting="minimum"),
        _gpu("power limit, maximum", "power.max_limit", "power_limit_setting_watts", tolerance=0.5, setting="maximum"),
        _gpu("power limit, default", "power.default_limit", "power_limit_setting_watts", 1.0, 0.5, setting="default"),
        _gpu("temperature", "temperature.gpu", "temperature_celsius", tolerance=1.0, sensor="gpu"),
        _gpu("temperature of the memory", "temperature.memory", "temperature_celsius", tolerance=2.0, sensor="memory"),
        _gpu("temperature margin", "temperature.gpu.tlimit", "temperature_margin_celsius", tolerance=1.0),
        _gpu("memory used", "memory.used", "memory_used_bytes", 2**20, 2**20),
        _gpu("memory total", "memory.total", "memory_total_bytes", 2**20, 2**20),
        _gpu("memory reserved", "memory.reserved", "memory_reserved_bytes", 2**20, 2**20),
        _gpu("utilisation", "utilization.gpu", "utilization_ratio", 0.01, 0.02),
        _gpu("memory copy", "utilization.memory", "engine_utilization_ratio", 0.01, 0.02, engine="memory_copy"),
        _gpu("SM clock", "clocks.sm", "clock_hertz", 1e6, 20e6, clock="sm"),
        _gpu("memory clock", "clocks.mem", "clock_hertz", 1e6, 1e6, clock="memory"),
        _gpu("SM clock, maximum", "clocks.max.sm", "clock_max_hertz", 1e6, clock="sm"),
        _gpu("memory clock, maximum", "clocks.max.mem", "clock_max_hertz", 1e6, clock="memory"),
        _gpu("fan speed", "fan.speed", "fan_speed_ratio", 0.01, 0.02),
        _gpu("PCIe generation", "pcie.link.gen.current", "pcie_link_generation"),
        _gpu("PCIe width", "pcie.link.width.current", "pcie_link_width"),
        _gpu("P-state", "pstate", "performance_state"),
        _gpu("ECC errors, corrected", "ecc.errors.corrected.volatile.total", "ecc_errors_total",
             severity="corrected", counter="volatile"),
        _gpu("ECC errors, uncorrected", "ecc.errors.uncorrected.volatile.total", "ecc_errors_total",
             severity="uncorrected", counter="volatile"),
    )  # fmt: skip

    def values(self) -> dict[str, float | None]:
        queries = ",".join(one.query for one in self.quantities)
        command = ["nvidia-smi", "--id=0", f"--query-gpu={queries}", "--format=csv,noheader,nounits"]
        finished = subprocess.run(command, capture_output=True, text=True, check=True)
        cells = finished.stdout.strip().split(",")
        return _in_units(self.quantities, [cell.strip().lstrip("P") for cell in cells])


class _Dmon:
    """One line of `nvidia-smi dmon` of the first GPU: averages of the last second."""

    quantities: Sequence[Quantity] = (
        _gpu("power (dmon)", "pwr", "power_watts", tolerance=15.0),
        _gpu("temperature (dmon)", "gtemp", "temperature_celsius", tolerance=1.0, sensor="gpu"),
        _gpu("utilisation (dmon)", "sm", "utilization_ratio", 0.01, 0.02),
        _gpu("memory copy (dmon)", "mem", "engine_utilization_ratio", 0.01, 0.02, engine="memory_copy"),
        _gpu("encoder (dmon)", "enc", "engine_utilization_ratio", 0.01, 0.02, engine="encoder"),
        _gpu("decoder (dmon)", "dec", "engine_utilization_ratio", 0.01, 0.02, engine="decoder"),
        _gpu("memory clock (dmon)", "mclk", "clock_hertz", 1e6, 1e6, clock="memory"),
        _gpu("SM clock (dmon)", "pclk", "clock_hertz", 1e6, 20e6, clock="sm"),
    )

    def values(self) -> dict[str, float | None]:
        finished = subprocess.run(
            ["nvidia-smi", "dmon", "-i", "0", "-s", "puc", "-c", "1"], capture_output=True, text=True, check=True
        )
        columns = dmon_columns(finished.stdout)
        return _in_units(self.quantities, [columns.get(one.query, "-") for one in self.quantities])


SMI: tuple[Reference, ...] = (_QueryGpu(), _Dmon())


def dmon_columns(text: str) -> dict[str, str]:
    """The columns of the last line that dmon printed, by name.

    Args:
        text: its output: a line of names and one of units, which begin with "#", then values.
    """
    lines = [line.split() for line in text.splitlines() if line.strip()]
    names = next(line[1:] for line in lines if line[0].startswith("#"))
    values = [line for line in lines if not line[0].startswith("#")]
    return dict(zip(names, values[-1], strict=False)) if values else {}


def _in_units(quantities: Sequence[Quantity], cells: Sequence[str]) -> dict[str, float | None]:
    numbers = [_number(cell) for cell in cells]
    return {
        quantity.name: None if number is None else number * quantity.unit
        for quantity, number in zip(quantities, numbers, strict=True)
    }


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def properties() -> dict[str, str]:
    """What identifies the GPU and its driver."""
    query = "name,driver_version,vbios_version,mig.mode.current,compute_cap"
    command = ["nvidia-smi", "--id=0", f"--query-gpu={query}", "--format=csv,noheader"]
    values = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip().split(", ")
    return dict(zip(("GPU", "driver", "VBIOS", "MIG", "compute capability"), values, strict=True))


@dataclass(frozen=True)
class Fake:
    """The tests' fake NVML with every value that it can report; its values are those of its scenario.

    Attributes:
        library: the library.
        scenario: numbers of the first GPU, by key.
    """

    library: Path
    scenario: Mapping[str, float]
    quantities: Sequence[Quantity] = (
        _gpu("power", "power", "power_watts", 1e-3),
        _gpu("power of the module", "field.186.1", "module_power_watts", 1e-3),
        _gpu("power limit", "limit", "power_limit_watts", 1e-3),
        _gpu("power limit, minimum", "powermin", "power_limit_setting_watts", 1e-3, setting="minimum"),
        _gpu("temperature", "temp", "temperature_celsius", sensor="gpu"),
        _gpu("temperature margin", "margin", "temperature_margin_celsius"),
        _gpu("memory used", "used", "memory_used_bytes"),
        _gpu("memory total", "total", "memory_total_bytes"),
        _gpu("utilisation", "util", "utilization_ratio", 0.01, 1e-9),
        _gpu("SM activity", "gpm.2", "sm_activity_ratio", 0.01, 1e-9),
        _gpu("SM clock", "clock.1", "clock_hertz", 1e6, clock="sm"),
        _gpu("memory clock, maximum", "maxclock.2", "clock_max_hertz", 1e6, clock="memory"),
        _gpu("fan speed", "fan", "fan_speed_ratio", 0.01, 1e-9),
        _gpu("time of thermal throttling", "throttle.1", "throttle_seconds_total", 1e-9, 1e-12, reason="hw_thermal"),
        _gpu("NVLink bytes", "field.138", "nvlink_bytes_total", 1024, direction="transmit"),
        _gpu("ECC errors, corrected", "ecc.0.0", "ecc_errors_total", severity="corrected", counter="volatile"),
        _gpu("recovery action", "field.230", "recovery_action", action="gpu_reset"),
    )

    @classmethod
    def built(cls, folder: Path) -> "Fake":
        """Compile the library and write its scenario.

        Args:
            folder: for both.
        """
        sys.path[:0] = [str(ROOT)]
        from tests.collect.conftest import build_fake_nvml
        from tests.collect.scenarios import FULL

        path = folder / "scenario"
        path.write_text(FULL)
        folder.chmod(0o755)  # the exporter also runs as another user
        os.environ["GPUWISE_FAKE_NVML"] = str(path)
        lines = [line.split() for line in FULL.splitlines() if line.startswith("gpu 0 ")]
        numbers = {key: number for _, _, key, *rest in lines if (number := _number(" ".join(rest))) is not None}
        return cls(build_fake_nvml(folder), numbers)

    @property
    def options(self) -> tuple[str, ...]:
        """Command-line options of the exporter."""
        return ("--nvml-library", str(self.library))

    def values(self) -> dict[str, float | None]:
        return {one.name: self.scenario[one.query] * one.unit for one in self.quantities}
