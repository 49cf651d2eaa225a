"""Reads columns of a trace from `.csv` or `.csv.gz`, with errors that name the file, the column and the line."""

import csv
import gzip
import io
import math
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.errors import InputError

Columns = dict[str, NDArray[Any]]


def read_columns(
    path: Path, needed: Mapping[str, type], optional: Mapping[str, type] | None = None, *, blank: bool = False
) -> Columns:
    """Read some columns of a file; other columns are ignored.

    Args:
        path: path of the file; gzip if the name ends in .gz.
        needed: float, int or str by column.
        optional: the same for columns that a file may lack; a missing one is not in the result.
        blank: whether a number may be blank (read as NaN).

    Returns:
        By column, float64, int64 or object (str) arrays of the same length.

    Raises:
        InputError: the file cannot be read, has no header, lacks a column, or has an invalid cell.
    """
    header, rows = _rows(path)
    missing = [name for name in needed if name not in header]
    if missing:
        raise InputError(f"{path} has no column {missing[0]}", hint=f"its columns are {', '.join(header)}")
    if not rows:
        raise InputError(f"{path} has a header but no rows", hint="give the complete trace")
    kinds = {**needed, **{name: kind for name, kind in (optional or {}).items() if name in header}}
    return {name: _column(path, name, header.index(name), rows, kind, blank=blank) for name, kind in kinds.items()}


def names_columns(path: Path, names: Iterable[str]) -> bool:
    """Whether the header of a file has all given columns; it distinguishes the layouts of a trace.

    Args:
        path: path of the file; gzip if the name ends in .gz.
        names: names of the columns.

    Raises:
        InputError: the file cannot be read.
    """
    header, _ = _rows(path)
    return set(names) <= set(header)


def _rows(path: Path) -> tuple[list[str], list[list[str]]]:
    try:
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8-sig")
        header, *rows = [row for row in csv.reader(io.StringIO(text), strict=True) if row] or [[]]
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{path} cannot be read: {why}", hint="give a CSV file, plain or as .csv.gz") from error
    short = next((number for number, row in enumerate(rows, 2) if len(row) != len(header)), None)
    if short is not None:
        raise InputError(
            f"{path}, line {short}: {len(rows[short - 2])} cells under a header of {len(header)}", hint="fix the row"
        )
    return header, rows


def _column(path: Path, name: str, index: int, rows: list[list[str]], kind: type, *, blank: bool) -> NDArray[Any]:
    cells = [row[index] for row in rows]
    if kind is str:
        return np.array(cells, dtype=object)
    values = np.array([_number(cell, blank=blank) for cell in cells], dtype=np.float64)
    wrong = ~np.isfinite(values) if not blank else np.isinf(values)
    if kind is int:
        wrong |= values != np.floor(values)
    if wrong.any():
        row = int(np.argmax(wrong))
        wanted = "a whole number" if kind is int else "a number"
        raise InputError(f"{path}, line {row + 2}: {name} is {cells[row]!r}", hint=f"write {wanted}")
    return values.astype(np.int64) if kind is int else values


def _number(cell: str, *, blank: bool) -> float:
    """A cell as a number; infinity for an invalid cell, NaN for a blank one."""
    if not cell:
        return math.nan if blank else math.inf
    try:
        return float(cell)
    except ValueError:
        return math.inf
