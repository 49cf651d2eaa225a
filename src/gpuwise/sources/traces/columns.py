"""Columns of a trace and their units: the schema of recordings, with mappings `NAME=COLUMN[:UNIT]`."""

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
"""Factor to the base unit, by measured quantity; the first name is the base unit."""


@dataclass(frozen=True, slots=True)
class Column:
    """The column of a file for one column of the schema.

    Attributes:
        name: name of the column in the file.
        factor: factor from the file's unit to the schema's.
        mapped: the user named the column, so it must exist.
    """

    name: str
    factor: float = 1.0
    mapped: bool = False


def columns_of(mappings: Iterable[str]) -> dict[str, Column]:
    """Return all columns of the schema, under their own names unless mapped.

    Args:
        mappings: each `NAME=COLUMN` or `NAME=COLUMN:UNIT`; NAME is a column of the schema. If COLUMN contains a colon,
            the unit is required.

    Raises:
        InputError: a mapping is not valid, names an unknown column or unit, or maps a column twice.
    """
    columns = {name: Column(name) for name in (*KEYS, *(signal.value for signal in Signal))}
    for text in mappings:
        name, equals, rest = text.partition("=")
        if name not in columns or not equals or not rest:
            known = ", ".join(columns)
            raise InputError(f"--column is {text!r}", hint=f"use NAME=COLUMN[:UNIT], where NAME is one of {known}")
        if columns[name].mapped:
            raise InputError(f"--column maps {name} twice", hint="remove one of them")
        column, colon, unit = rest.rpartition(":")
        columns[name] = Column(column if colon else rest, _factor(name, unit) if colon else 1.0, mapped=True)
    return columns


def _factor(name: str, unit: str) -> float:
    measured = "seconds" if name == "t_s" else SIGNALS[Signal(name)].unit if name in set(Signal) else None
    units = _UNITS[measured] if measured else {}
    if unit not in units:
        hint = f"use one of {', '.join(units)}" if units else f"{name} has no unit: omit it"
        raise InputError(f"--column gives {name} the unknown unit {unit!r}", hint=hint)
    return units[unit]
