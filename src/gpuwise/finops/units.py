"""Unit economics: cost, energy and value per request or unit of work, and spend on models that never served.

A day counts where the number of its units is known; the cost of other days is not divided by the units of these.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gpuwise.finops.settings import UnitValue
from gpuwise.model.cost import KEYS, NOT_MEASURED, CostRow, CostSum, GpuSeconds, Measures
from gpuwise.model.hours import HOUR_S

REQUEST = "request"
MEASURED_ENERGY = 0.9
"""Share of the GPU time with a power reading from which joules per unit are given, as in `score.pace`."""


@dataclass(frozen=True, slots=True)
class UnitCost:
    """What one kind of unit cost.

    Attributes:
        keys: values of the keys; None where nothing names it.
        unit: "request", or the counter of declared work; None for time without known units.
        amount: how many units; None without a unit.
        gpu_h: GPU-hours of the days that are counted, idle time included.
        usd: their cost; None if a part of them has no price.
        idle_usd: of this, of idle time.
        usd_per_unit: idle time included; None without units or a price.
        used_usd_per_unit: the same without idle time.
        usd_per_gpu_h: cost of a GPU-hour, idle time included; None without hours or a price.
        joules_per_unit: energy per unit; None if less than 90 % of the time has a power reading.
        value_usd: declared value of the units; None without one.
        return_usd: value less cost.
        return_ratio: value by cost.
    """

    keys: tuple[str | None, ...]
    unit: str | None
    amount: float | None
    gpu_h: float
    usd: float | None
    idle_usd: float | None
    usd_per_unit: float | None
    used_usd_per_unit: float | None
    usd_per_gpu_h: float | None
    joules_per_unit: float | None
    value_usd: float | None
    return_usd: float | None
    return_ratio: float | None


@dataclass(frozen=True, slots=True)
class ValueReturn:
    """The declared monthly value of a team, project or other subject beside its cost.

    Attributes:
        by, value: the key and its value.
        usd: cost of its GPU time in the period that has a price; None if none has.
        unpriced_gpu_h: of its time, that without a price.
        value_usd: declared value of the days of the period that are in the history.
        return_usd: value less cost; None if some of the cost is not known, or if there is no GPU time at all.
        return_ratio: value by cost; likewise.
    """

    by: str
    value: str
    usd: float | None
    unpriced_gpu_h: float
    value_usd: float
    return_usd: float | None
    return_ratio: float | None


@dataclass(frozen=True, slots=True)
class Unserved:
    """What was spent on a model that no endpoint has served.

    Attributes:
        model: its name, by the tagging policy.
        usd: cost of its GPU time in the period that has a price; None if none has.
        gpu_h: its GPU-hours.
    """

    model: str
    usd: float | None
    gpu_h: float


@dataclass(slots=True)
class _Sum:
    time: GpuSeconds = field(default_factory=GpuSeconds)
    usd: float = 0.0
    idle_usd: float = 0.0
    unpriced: bool = False
    amount: float = 0.0
    value_usd: float = 0.0
    valued: bool = True
    measures: Measures = NOT_MEASURED


def unit_costs(rows: Iterable[CostRow], by: Sequence[str], values: Collection[UnitValue] = ()) -> tuple[UnitCost, ...]:
    """The cost of each kind of unit, most expensive first; time of pods only.

    Args:
        rows: of the history.
        by: keys to divide by.
        values: declared values per unit; what a workload declares itself comes first.
    """
    found: defaultdict[tuple[tuple[str | None, ...], str | None], _Sum] = defaultdict(_Sum)
    per_unit = [one for one in values if one.usd_per_unit is not None]
    for row in rows:
        if row.owner.namespace is None:
            continue
        named = dict(zip(KEYS, (*row.owner, *row.price[:-1]), strict=True))
        keys = tuple(None if named[key] is None else str(named[key]) for key in by)
        units = _units(row)
        for unit, amount in units or [(None, 0.0)]:
            # The declared value of a workload with a counter of work is of that work, also on days without it.
            own = row.unit_usd if unit != REQUEST or row.work_unit is None else None
            value = own if own is not None else _declared(named, unit, per_unit)
            _add(found[keys, unit], row, amount, value)
    lines = (_line(keys, unit, one) for (keys, unit), one in found.items())
    return tuple(sorted(lines, key=lambda one: (one.unit is None, -(one.usd or 0.0), str(one.keys), one.unit or "")))


def _units(row: CostRow) -> list[tuple[str | None, float]]:
    found: list[tuple[str | None, float]] = []
    if row.measures.requests is not None:
        found.append((REQUEST, row.measures.requests))
    if row.measures.work is not None and row.work_unit is not None:
        found.append((row.work_unit, row.measures.work))
    return found


def _declared(named: Mapping[str, object], unit: str | None, values: Sequence[UnitValue]) -> float | None:
    for one in values:
        if named[one.by] == one.value and one.unit in ("", unit):
            return one.usd_per_unit
    return None


def _add(total: _Sum, row: CostRow, amount: float, value: float | None) -> None:
    total.time += row.time
    total.amount += amount
    total.measures += row.measures
    price = row.price.usd_per_gpu_h
    if price is None:
        total.unpriced = total.unpriced or row.time.capacity > 0.0
    else:
        total.usd += row.time.capacity / HOUR_S * price
        total.idle_usd += row.time.idle / HOUR_S * price
    if value is None:
        total.valued = total.valued and amount <= 0.0
    else:
        total.value_usd += amount * value


def _line(keys: tuple[str | None, ...], unit: str | None, one: _Sum) -> UnitCost:
    counted = unit is not None and one.amount > 0.0
    usd = None if one.unpriced else one.usd
    per = usd / one.amount if counted and usd is not None else None
    used = (one.usd - one.idle_usd) / one.amount if counted and usd is not None else None
    powered, whole = one.measures.powered_s or 0.0, one.time.capacity
    energy = one.measures.energy_j
    joules = None
    if counted and energy is not None and powered >= MEASURED_ENERGY * whole > 0.0:
        joules = energy / powered * whole / one.amount
    value = one.value_usd if counted and one.valued else None
    gained = None if value is None or usd is None else value - usd
    ratio = value / usd if value is not None and usd else None
    amount = None if unit is None else one.amount
    idle = None if one.unpriced else one.idle_usd
    an_hour = usd / whole * HOUR_S if usd is not None and whole else None
    return UnitCost(keys, unit, amount, whole / HOUR_S, usd, idle, per, used, an_hour, joules, value, gained, ratio)


def returns(sums_by: Iterable[tuple[UnitValue, Sequence[CostSum]]], months: float) -> tuple[ValueReturn, ...]:
    """The return of each declared monthly value.

    Args:
        sums_by: each value with the sums of what it is for.
        months: length of the period in months, of the days that are in the history.
    """
    found = []
    for one, sums in sums_by:
        if one.usd_month is None:
            continue
        cost, value = sum(each.usd.capacity for each in sums), one.usd_month * months
        unpriced_s, whole_s = (sum(getattr(each, name).capacity for each in sums) for name in ("unpriced", "time"))
        usd = cost if unpriced_s < whole_s else None
        known = usd if unpriced_s == 0.0 < whole_s else None
        found.append(
            ValueReturn(
                one.by,
                one.value,
                usd,
                unpriced_s / HOUR_S,
                value,
                None if known is None else value - known,
                value / known if known else None,
            )
        )
    return tuple(found)


def unserved(spent: Iterable[CostSum], ever: Iterable[CostSum]) -> tuple[Unserved, ...]:
    """Spend on models that never served, most expensive first. Spend that no label assigns to a model is not in it.

    Args:
        spent: sums of the period by model.
        ever: sums of the history until the end of the period, by day, model and endpoint. A model has served if an
            endpoint with its name had requests, or one whose requests nobody counted on some day.
    """
    served = set()
    for one in ever:
        _, model, endpoint = one.keys
        if endpoint is not None and (one.measures.requests is None or one.measures.requests > 0.0):
            served.add(model)
    found = [
        Unserved(
            str(one.keys[0]),
            one.usd.capacity if one.unpriced.capacity < one.time.capacity else None,
            one.time.capacity / HOUR_S,
        )
        for one in spent
        if one.keys[0] is not None and one.keys[0] not in served and one.time.capacity > 0.0
    ]
    return tuple(sorted(found, key=lambda one: (-(one.usd or 0.0), -one.gpu_h, one.model)))
