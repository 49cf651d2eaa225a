"""Energy and carbon for a reader: what is not measured is unknown, and a part of it says so."""

from collections.abc import Sequence

from gpuwise.model.report import PowerComparison, PowerUse, TeamCost
from gpuwise.report.wording import UNKNOWN, percent

_NBSP = "\u00a0"
_WHOLE = 0.995
"""Measured share from which no remark is made: it would be 100 %."""


def amount(value: float | None, unit: str) -> str:
    """Format an amount with its unit: with one decimal below 100; None is "unknown"."""
    if value is None:
        return UNKNOWN
    return f"{value:,.1f}{_NBSP}{unit}" if 0 < value < 100 else f"{value:,.0f}{_NBSP}{unit}"


def kwh(one: TeamCost) -> str:
    """The energy of a team."""
    return amount(one.energy.kwh if one.energy is not None else None, "kWh")


def carbon(one: TeamCost) -> str:
    """The carbon of a team; "at least" where a part of its energy was not measured, or has no known intensity."""
    energy = one.energy
    if energy is None or energy.kg_co2e is None:
        return UNKNOWN
    part = energy.unknown_kwh > 0.0 or not whole(energy.measured_gpu_h, one.allocated_gpu_h)
    return f"{'at least ' if part else ''}{amount(energy.kg_co2e, 'kg')}"


def whole(measured_gpu_h: float, allocated_gpu_h: float) -> bool:
    """Whether the power of all GPU time, but what printing rounds away, was measured."""
    return measured_gpu_h >= _WHOLE * allocated_gpu_h


def measured_share(one: TeamCost) -> str:
    """Which share of a team's GPU time has a power reading."""
    if one.energy is None:
        return UNKNOWN
    return percent(one.energy.measured_gpu_h / one.allocated_gpu_h) if one.allocated_gpu_h > 0.0 else "none"


def energy_remark(one: TeamCost) -> str:
    """The measured share of a team's GPU time where that is not all, and any: "45 % measured"."""
    if one.energy is None or one.energy.kwh is None or whole(one.energy.measured_gpu_h, one.allocated_gpu_h):
        return ""
    return f"{measured_share(one)} measured"


def per_kwh(one: PowerUse) -> str:
    """Units of work per kWh, with the energy and the carbon behind it."""
    if one.work_per_kwh is None:
        return UNKNOWN
    emitted = "" if one.kg_co2e is None else f", {amount(one.kg_co2e, 'kg')}{_NBSP}CO2e"
    return f"{one.work_per_kwh:,.4g} ({amount(one.kwh, 'kWh')}{emitted})"


def power_result(one: PowerComparison) -> str:
    """Energy per unit and speed under the limit, against those without: "energy -12 %, speed -2 %"."""
    energy = "energy unknown" if one.energy_ratio is None else f"energy per unit {_change(one.energy_ratio)}"
    return f"{energy}, speed {_change(one.speed_ratio)}"


def _change(ratio: float) -> str:
    return f"{(ratio - 1) * 100:+.1f}{_NBSP}%"


def energy_of_rest(every: Sequence[TeamCost]) -> str:
    """What a list's other teams used together: ", and used 12 kWh"; "" if nothing of it was measured.

    Where not all of their time has a power reading, it is "at least 12 kWh (45 % measured)".
    """
    known = [one.energy for one in every if one.energy is not None and one.energy.kwh is not None]
    if not known:
        return ""
    used = amount(sum(one.kwh or 0.0 for one in known), "kWh")
    measured, allocated = sum(one.measured_gpu_h for one in known), sum(one.allocated_gpu_h for one in every)
    if whole(measured, allocated):
        return f", and used {used}"
    return f", and used at least {used} ({percent(measured / allocated)} measured)"
