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
from gpuwise.model.report import EnergyUse

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
class EnergySum:
    """A sum of energy.

    Attributes:
        gpu_h: GPU-hours.
        measured_gpu_h, kwh, kg_co2e, unknown_kwh: as in `EnergyUse`; 0 where nothing was added.
        emitting: whether some energy is in a region with a known intensity.
    """

    gpu_h: float = 0.0
    measured_gpu_h: float = 0.0
    kwh: float = 0.0
    kg_co2e: float = 0.0
    unknown_kwh: float = 0.0
    emitting: bool = False

    @classmethod
    def of(cls, gpu_s: float, powered_s: float, energy_j: float, region: str | None, factors: Factors) -> "EnergySum":
        """Convert what was measured in one region.

        Args:
            gpu_s: GPU-seconds.
            powered_s: of these, with a power reading.
            energy_j: energy of the boards in these, joules.
            region: None if it is not known.
            factors: PUE and intensity of the grids.
        """
        hours = gpu_s / HOUR_S
        measured = min(hours, powered_s / HOUR_S)
        kwh = energy_j / JOULES_PER_KWH * factors.pue_of(region)
        intensity = factors.kg_co2e_per_kwh.get(region or "")
        if intensity is None:
            return cls(hours, measured, kwh, 0.0, kwh)
        return cls(hours, measured, kwh, kwh * intensity, 0.0, emitting=measured > 0.0)

    @property
    def use(self) -> EnergyUse:
        """What is known; what is not measured is missing, and not 0."""
        measured = self.measured_gpu_h > 0.0
        carbon = self.kg_co2e if self.emitting else None
        return EnergyUse(self.measured_gpu_h, self.kwh if measured else None, carbon, self.unknown_kwh)

    def line(self, keys: tuple[str | None, ...], kind: str) -> EnergyLine:
        """The sum as a line of some keys."""
        use = self.use
        return EnergyLine(keys, kind, self.gpu_h, use.measured_gpu_h, use.kwh, use.kg_co2e, use.unknown_kwh)

    def add(self, other: "EnergySum") -> None:
        """Add another sum."""
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
    found: defaultdict[tuple[tuple[str | None, ...], str], EnergySum] = defaultdict(EnergySum)
    for one in sums:
        *keys, region = one.keys
        named = tuple(None if key is None else str(key) for key in keys)
        powered_s, energy_j = one.measures.powered_s or 0.0, one.measures.energy_j or 0.0
        part = EnergySum.of(one.time.capacity, powered_s, energy_j, None if region is None else str(region), factors)
        found[named, "nobody" if one.nobody else "allocated"].add(part)
    whole = EnergySum()
    for part in found.values():
        whole.add(part)
    lines = [part.line(keys, kind) for (keys, kind), part in found.items()]
    lines.sort(key=lambda one: (one.kind != "allocated", -(one.kwh or 0.0), -one.gpu_h, str(one.keys)))
    return tuple(lines), whole.line((None,) * len(by), "total")


def summed(every: Iterable[EnergyUse | None]) -> EnergyUse | None:
    """The energy of several parts, such as those of a team in several clusters; None if none of them has any.

    Args:
        every: the parts; None where a part is of a report that had no energy yet.
    """
    known = [one for one in every if one is not None]
    if not known:
        return None
    kwh = [one.kwh for one in known if one.kwh is not None]
    carbon = [one.kg_co2e for one in known if one.kg_co2e is not None]
    return EnergyUse(
        sum(one.measured_gpu_h for one in known),
        sum(kwh) if kwh else None,
        sum(carbon) if carbon else None,
        sum(one.unknown_kwh for one in known),
    )


def pue_stated(factors: Factors) -> str:
    """State the PUE, for people."""
    own = "".join(f", {value:g} in {region}" for region, value in sorted(factors.pue_by_region.items()))
    unset = "" if factors.pue > 1.0 or factors.pue_by_region else ": the boards alone (finops.pue is not set)"
    return f"PUE {factors.pue:g}{own}{unset}"


def basis(factors: Factors) -> str:
    """State how the energy of a report was computed, in a sentence."""
    return (
        f"Energy is that of the GPU time with a power reading; {pue_stated(factors)}; "
        "carbon by the intensity of each region's grid, location-based."
    )
