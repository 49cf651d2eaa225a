"""Energy and carbon by any key: measured power, PUE and the intensity of each region's grid.

What is not measured is missing, and never estimated from other time: each line says which share of its GPU time has a
power reading. Carbon is location-based (GHG Protocol Scope 2 Guidance, 2015): kWh of the data centre times the
intensity of the region's grid.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gpuwise.model.cost import CostSum
from gpuwise.model.hours import HOUR_S

JOULES_PER_KWH = 3.6e6

METHOD = (
    "power of the board, divided among the pods on it as its time is; of a step the mean by the energy counter where "
    "that was read, else its highest sample"
)
"""How power was measured."""


@dataclass(frozen=True, slots=True)
class Factors:
    """What turns energy of GPUs into that of the data centre and into carbon.

    Attributes:
        pue: energy of the data centre by that of its IT equipment (ISO/IEC 30134-2), of regions without their own.
        pue_by_region: the same by region.
        kg_co2e_per_kwh: intensity of the grid by region; a region that is not in it is unknown.
    """

    pue: float = 1.0
    pue_by_region: Mapping[str, float] = field(default_factory=dict)
    kg_co2e_per_kwh: Mapping[str, float] = field(default_factory=dict)

    def pue_of(self, region: str | None) -> float:
        """The PUE of a region."""
        return self.pue_by_region.get(region or "", self.pue)


@dataclass(frozen=True, slots=True)
class EnergyLine:
    """The energy of one line.

    Attributes:
        keys: values of the keys; None where nothing names it.
        kind: "allocated" for time of pods, "nobody" for devices that no pod had, "total" for the sum.
        gpu_h: GPU-hours of the line.
        measured_gpu_h: of these, with a power reading: the energy is of these alone.
        kwh: energy of the data centre in that time; None if nothing was measured.
        kg_co2e: carbon of it; None if no region with energy has a known intensity.
        unknown_kwh: of the energy, that in regions without a known intensity: it is not part of the carbon.
    """

    keys: tuple[str | None, ...]
    kind: str
    gpu_h: float
    measured_gpu_h: float
    kwh: float | None
    kg_co2e: float | None
    unknown_kwh: float


@dataclass(slots=True)
class _Sum:
    gpu_h: float = 0.0
    measured_gpu_h: float = 0.0
    kwh: float = 0.0
    kg_co2e: float = 0.0
    unknown_kwh: float = 0.0
    emitting: bool = False

    def line(self, keys: tuple[str | None, ...], kind: str) -> EnergyLine:
        measured = self.measured_gpu_h > 0.0
        carbon = self.kg_co2e if self.emitting else None
        kwh = self.kwh if measured else None
        return EnergyLine(keys, kind, self.gpu_h, self.measured_gpu_h, kwh, carbon, self.unknown_kwh)

    def add(self, other: "_Sum") -> None:
        self.gpu_h += other.gpu_h
        self.measured_gpu_h += other.measured_gpu_h
        self.kwh += other.kwh
        self.kg_co2e += other.kg_co2e
        self.unknown_kwh += other.unknown_kwh
        self.emitting = self.emitting or other.emitting


def energy(sums: Iterable[CostSum], by: Sequence[str], factors: Factors) -> tuple[tuple[EnergyLine, ...], EnergyLine]:
    """The energy of each line, most first, and the total, which is their sum.

    Args:
        sums: of the history, by these keys and by region, which is the last one.
        by: the keys.
        factors: PUE and intensity of the grids.
    """
    found: defaultdict[tuple[tuple[str | None, ...], str], _Sum] = defaultdict(_Sum)
    for one in sums:
        *keys, region = one.keys
        named = tuple(None if key is None else str(key) for key in keys)
        found[named, "nobody" if one.nobody else "allocated"].add(_of(one, str(region or ""), factors))
    whole = _Sum()
    for part in found.values():
        whole.add(part)
    lines = [part.line(keys, kind) for (keys, kind), part in found.items()]
    lines.sort(key=lambda one: (one.kind != "allocated", -(one.kwh or 0.0), -one.gpu_h, str(one.keys)))
    return tuple(lines), whole.line((None,) * len(by), "total")


def _of(one: CostSum, region: str, factors: Factors) -> _Sum:
    hours = one.time.capacity / HOUR_S
    measured = min(hours, (one.measures.powered_s or 0.0) / HOUR_S)
    kwh = (one.measures.energy_j or 0.0) / JOULES_PER_KWH * factors.pue_of(region)
    intensity = factors.kg_co2e_per_kwh.get(region)
    if intensity is None:
        return _Sum(hours, measured, kwh, 0.0, kwh)
    return _Sum(hours, measured, kwh, kwh * intensity, 0.0, emitting=measured > 0.0)
