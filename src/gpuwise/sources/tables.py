"""Small CSV files that a user maintains: prices, grid intensities. Errors name the bad field and give a hint."""

import csv
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, NoReturn

from gpuwise.model.errors import InputError

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a CSV file.

    Attributes:
        where: file and line, for messages.
        cells: text by column.
    """

    where: str
    cells: Mapping[str, str | None]

    def text(self, column: str) -> str:
        """Return a cell without surrounding blanks; an empty cell is ""."""
        return (self.cells[column] or "").strip()

    def amount(self, column: str, hint: str) -> float:
        """Return a cell as a finite number of 0 or more.

        Raises:
            InputError: the cell is not such a number.
        """
        value = self._number(column)
        if not (0.0 <= value < math.inf):
            self.refuse(column, hint)
        return value

    def positive(self, column: str, hint: str) -> float:
        """Return a cell as a finite number above 0.

        Raises:
            InputError: the cell is not such a number.
        """
        value = self._number(column)
        if not (0.0 < value < math.inf):
            self.refuse(column, hint)
        return value

    def _number(self, column: str) -> float:
        """Return a cell as a number, NaN if it is none. Python would read 3_500 as 3500: that is a typing error."""
        text = self.text(column)
        return float(text) if _NUMBER.fullmatch(text) else math.nan

    def refuse(self, column: str, hint: str) -> NoReturn:
        """Raise an InputError that names this line and cell, with a hint."""
        raise InputError(f"{self.where}: {column} is {self.text(column)!r}", hint=hint)


def shipped(name: str) -> str:
    """Return the text of a file that is shipped with gpuwise."""
    return resources.files("gpuwise.sources").joinpath(name).read_text(encoding="utf-8")


def text_of(path: Path, what: str) -> str:
    """Return the text of a user's file.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{what} {path} cannot be read ({error})", hint="name a readable CSV file") from error


def rows(name: str, text: str, columns: Sequence[str]) -> Iterator[Row]:
    """Iterate over the rows of a CSV file; it may have more columns than required.

    Args:
        name: name of the file, for errors.
        text: content of the file.
        columns: required columns, in lower case; the file may write them in capitals.

    Raises:
        InputError: a column is missing or given twice, or a row has more cells than the header.
    """
    reader = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True)
    header = reader.fieldnames = [column.strip().lower() for column in reader.fieldnames or ()]
    missing = [column for column in columns if column not in header]
    if missing:
        raise InputError(
            f"{name}, line 1: the column {missing[0]!r} is missing from {','.join(header)!r}",
            hint=f"begin the file with {','.join(columns)}",
        )
    if twice := [column for column in header if column and header.count(column) > 1]:
        raise InputError(f"{name}, line 1: the column {twice[0]!r} is given twice", hint="remove one of them")
    return (_row(f"{name}, line {reader.line_num}", cells) for cells in reader)


def _row(where: str, cells: dict[str | Any, Any]) -> Row:
    """Refuse surplus cells: 1,000 without quotes is two cells, and would be read as 1."""
    surplus = [cell for cell in cells.pop(None, ()) if cell.strip()]
    if surplus:
        raise InputError(
            f"{where}: {surplus[0]!r} is beyond the last column",
            hint="write numbers without commas, such as 1000, and quote text that contains a comma",
        )
    return Row(where, cells)
