"""Paths on the command line; light, for the node exporter imports it."""

import os
from pathlib import Path
from typing import Any

import click


class FilePath(click.Path):
    """A path in which a leading ~ is the home folder: a shell leaves it alone behind "=" and within quotes."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read it."""
        return super().convert(os.path.expanduser(value), param, ctx)  # noqa: PTH111 - a name may be bytes


FILE = FilePath()
