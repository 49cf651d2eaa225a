"""Cells of CSV that no spreadsheet computes."""

from typing import TypeVar

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "'", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""How a cell begins that a spreadsheet computes, or that has an apostrophe already; the last four are of full width.

Source: OWASP, "CSV Injection"."""

Cell = TypeVar("Cell")


def safe(cell: Cell) -> Cell | str:
    """Return a cell, with an apostrophe before a text that a spreadsheet would compute.

    Args:
        cell: a text of somebody else, or a number.
    """
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
