"""Tables that fit 80 columns: each row has a name on its own line, and aligned cells below; the last cell wraps."""

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.text import Text

_INDENT = 2
_GAP = 2
_LEAST_LAST = 20
"""Least width of the last cell; below it the cell gets its own line."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a listing.

    Attributes:
        subject: its name, on its own line; broken at slashes, elsewhere only if needed.
        cells: one per column; the last one is text and wraps.
        commands: to copy, each on a line that never wraps.
    """

    subject: str
    cells: Sequence[str]
    commands: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Column:
    """A column's name, and whether its cells are numbers."""

    name: str
    right: bool = False


def listing(title: str, columns: Sequence[Column], rows: Sequence[Row], *, width: int) -> Text:
    """Format a list with a title.

    Args:
        title: above it.
        columns: of the second line of each row; the last one is text.
        rows: of the list.
        width: columns of the terminal.
    """
    *first, _ = columns
    sizes = [max(len(column.name), *(len(row.cells[at]) for row in rows), 0) for at, column in enumerate(first)]
    text = Text(title, style="bold")
    text.append("\n" + _line(columns, [column.name for column in columns], sizes, width), style="not bold dim")
    for row in rows:
        for part in folded(row.subject, width):
            text.append(f"\n{part}", style="bold")
        text.append("\n" + _line(columns, row.cells, sizes, width), style="not bold")
        for command in row.commands:
            text.append(f"\n{' ' * _INDENT}{command}", style="not bold")
    return text


def _line(columns: Sequence[Column], cells: Sequence[str], sizes: Sequence[int], width: int) -> str:
    *first, prose = cells
    aligned = [
        cell.rjust(size) if column.right else cell.ljust(size)
        for column, cell, size in zip(columns, first, sizes, strict=False)
    ]
    head = " " * _INDENT + "".join(cell + " " * _GAP for cell in aligned)
    left = width - len(head)
    if left < _LEAST_LAST:
        lines = [head.rstrip(), *wrapped(prose, width, indent=2 * _INDENT)]
    else:
        lines = wrapped(prose, width, indent=len(head))
        lines = [head + lines[0].lstrip(), *lines[1:]] if lines else [head]
    return "\n".join(line.rstrip() for line in lines if line.strip())


def wrapped(text: str, width: int, *, indent: int = 0) -> list[str]:
    """Wrap text to `width` columns with one indent; words with hyphens are not broken."""
    space = " " * indent
    return textwrap.wrap(
        text, width, initial_indent=space, subsequent_indent=space, break_on_hyphens=False, break_long_words=True
    )


def folded(name: str, width: int) -> Iterator[str]:
    """Break a name into lines of at most `width` columns: after slashes, then hyphens and dots, then anywhere.

    Continuation lines are indented; joined without indents the lines are the name.
    """
    line = ""
    for piece in _pieces(name, width - _INDENT):
        if line and len(line) + len(piece) > width:
            yield line
            line = " " * _INDENT
        line += piece
    yield line


def _pieces(name: str, most: int) -> Iterator[str]:
    for part in re.findall(r"[^/]*/|[^/]+", name):
        if len(part) <= most:
            yield part
            continue
        for piece in re.findall(r"[^-.]*[-.]|[^-.]+", part):
            yield from (piece[at : at + most] for at in range(0, len(piece), most))
