"""Printing an error; without rich, because the node exporter installs alone."""

import os
import sys

import click

_WITHOUT_COLOUR = ("dumb", "unknown")


def complain(problem: str) -> None:
    """Print an error as one line on stderr."""
    text = " ".join(problem.split())
    click.echo(click.style("error: ", fg="red", bold=True) + text, err=True, color=False if _plain() else None)


def _plain() -> bool:
    """Whether the user or the terminal wants no colour; click itself prints none to a file or a pipe."""
    # The error may be that the options cannot be read.
    return bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") in _WITHOUT_COLOUR or "--no-color" in sys.argv
