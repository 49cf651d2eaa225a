"""Tables that fit 80 columns: each row is a whole name, and below it aligned cells whose last one wraps."""

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.text import Text

_INDENT = 2
_GAP = 2
_LEAST_LAST = 20
"""Columns that the last cell needs; with fewer it gets a line of its own."""


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that is listed.

    Attributes:
        subject: its name, on a line of its own; it breaks at slashes, and only if it must elsewhere.
        cells: one a column; the last one is prose and wraps.
        commands: for copying, so each on a line that never wraps.
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
    """A titled list.

    Args:
        title: above it.
        columns: of the second line of each row; the last one is prose.
        rows: what is listed.
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
    """Prose in lines of at most `width` columns, all indented alike; hyphens and codes stay whole."""
    space = " " * indent
    return textwrap.wrap(
        text, width, initial_indent=space, subsequent_indent=space, break_on_hyphens=False, break_long_words=True
    )


def folded(name: str, width: int) -> Iterator[str]:
    """A name in lines of at most `width` columns: broken behind slashes, then hyphens and dots, then anywhere.

    What is broken goes on indented; put together the parts are the name.
    """
    line, room = "", width
    for piece in _pieces(name, width - _INDENT):
        if line and len(line) + len(piece) > room:
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
