"""Paths on the command line; without heavy imports, because the node exporter uses it."""

import os
from pathlib import Path
from typing import Any

import click


class FilePath(click.Path):
    """A path whose leading ~ is the home folder: a shell does not expand it after "=" or within quotes."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Convert the text to a path."""
        return super().convert(os.path.expanduser(value), param, ctx)  # noqa: PTH111 - a name may be bytes


FILE = FilePath()
