"""Charges of FOCUS as CSV, JSON or Parquet, written as they come."""

import csv
import json
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from itertools import islice
from typing import IO, Any, BinaryIO

from gpuwise.cli.csv_cells import safe
from gpuwise.finops.focus import COLUMNS, COST_DIGITS, FINAL, METRICS, OBJECTS, Cell

_BATCH = 10_000
_DECIMAL = 38
"""Digits of a decimal number in Parquet, 128 bits."""


def number(value: Decimal) -> str:
    """Return a decimal number without exponent and without zeros at its end."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def document(value: Any) -> str:
    """Return a value as JSON, with every digit of a decimal number."""
    if isinstance(value, Decimal):
        return number(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(key)}: {document(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(document, value)) + "]"
    return json.dumps(value)


def write_csv(charges: Iterable[dict[str, Cell]], to: IO[str]) -> None:
    """Write CSV (RFC 4180) with a header; a null is an empty cell."""
    writer = csv.writer(to, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for charge in charges:
        writer.writerow([_csv_cell(charge[name]) for name in COLUMNS])


def _csv_cell(value: Cell) -> str:
    if value is None:
        return ""
    return safe(value) if isinstance(value, str) else document(value)


def write_json(charges: Iterable[dict[str, Cell]], to: IO[str]) -> None:
    """Write one JSON array, an object a line."""
    to.write("[")
    for at, charge in enumerate(charges):
        to.write((",\n" if at else "\n") + document({name: charge[name] for name in COLUMNS}))
    to.write("\n]\n")


def write_parquet(charges: Iterable[dict[str, Cell]], to: BinaryIO) -> None:
    """Write Parquet: exact decimals, instants in UTC as text, objects as JSON text."""
    import pyarrow as pa  # noqa: PLC0415 - pyarrow takes 0.3 s
    import pyarrow.parquet as pq  # noqa: PLC0415 - the same

    exact = pa.decimal128(_DECIMAL, COST_DIGITS)
    kinds = dict.fromkeys(METRICS, exact) | {FINAL: pa.bool_()}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in COLUMNS], {"FocusVersion": "1.3"})
    with pq.ParquetWriter(to, schema) as writer:
        left = iter(charges)
        while batch := list(islice(left, _BATCH)):
            columns = {name: [_parquet_cell(name, charge[name]) for charge in batch] for name in COLUMNS}
            writer.write_table(pa.table(columns, schema))


def _parquet_cell(name: str, value: Cell) -> Any:
    return document(value) if name in OBJECTS and value is not None else value


TEXTS: dict[str, Callable[[Iterable[dict[str, Cell]], IO[str]], None]] = {"csv": write_csv, "json": write_json}
"""Writers of text by format."""
