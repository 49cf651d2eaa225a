"""Which column of a trace means what, and in which unit: the schema of recordings, bent by `NAME=COLUMN[:UNIT]`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gpuwise.model.errors import InputError
from gpuwise.model.signal import SIGNALS, Signal

KEYS = ("t_s", "namespace", "pod", "device_uuid", "gpu_type", "gpu_fraction", "node")
REQUIRED = ("t_s", "pod")

_UNITS: Mapping[str, Mapping[str, float]] = {
    "seconds": {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9},
    "ratio": {"ratio": 1.0, "percent": 0.01},
    "bytes": {"bytes": 1.0, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30, "kB": 1e3, "MB": 1e6, "GB": 1e9},
    "watts": {"W": 1.0, "mW": 1e-3},
    "requests per second": {"per-second": 1.0, "per-minute": 1 / 60},
}
"""Factor to the base unit, by what is measured; the first name is the base unit's own."""


@dataclass(frozen=True, slots=True)
class Column:
    """Where one column of the schema is found.

    Attributes:
        name: of the column in the file.
        factor: from the file's unit to the schema's.
        asked: named by the user, so it must be there.
    """

    name: str
    factor: float = 1.0
    asked: bool = False


def columns_of(mappings: Iterable[str]) -> dict[str, Column]:
    """All columns of the schema, under their own names but for the mappings.

    Args:
        mappings: each `NAME=COLUMN` or `NAME=COLUMN:UNIT`, NAME a column of the schema; a column whose name has a
            colon needs its unit, too.

    Raises:
        InputError: a mapping that cannot be read, names no column of the schema, names one twice, or no unit of it.
    """
    columns = {name: Column(name) for name in (*KEYS, *(signal.value for signal in Signal))}
    for text in mappings:
        name, equals, rest = text.partition("=")
        if name not in columns or not equals or not rest:
            known = ", ".join(columns)
            raise InputError(f"--column is {text!r}", hint=f"write NAME=COLUMN[:UNIT], NAME one of {known}")
        if columns[name].asked:
            raise InputError(f"--column names {name} twice", hint="leave one of them out")
        column, colon, unit = rest.rpartition(":")
        columns[name] = Column(column if colon else rest, _factor(name, unit) if colon else 1.0, asked=True)
    return columns


def _factor(name: str, unit: str) -> float:
    measured = "seconds" if name == "t_s" else SIGNALS[Signal(name)].unit if name in set(Signal) else None
    units = _UNITS[measured] if measured else {}
    if unit not in units:
        takes = f"write one of {', '.join(units)}" if units else f"{name} has no unit: leave it out"
        raise InputError(f"--column gives {name} the unit {unit!r}", hint=takes)
    return units[unit]
