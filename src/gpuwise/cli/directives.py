"""`gpuwise dismiss`, `pause` and `resume`: directives that every later decision respects."""

import getpass
import time
from typing import Literal

import click

from gpuwise.cli.console import say
from gpuwise.cli.help import command
from gpuwise.cli.options import connection
from gpuwise.config import Config
from gpuwise.manual import record
from gpuwise.memory.ledger import SqliteLedger
from gpuwise.model.command import Directive

why = click.option("--reason", default="", help="The reason, for the audit trail.")


@command()
@connection
@click.argument("recommendation_id", metavar="ID")
@why
def dismiss(config: Config, recommendation_id: str, reason: str) -> None:
    """Never carry out this recommendation; reports show it as dismissed."""
    _record(config, "dismiss", recommendation_id, reason)


@command()
@connection
@why
def pause(config: Config, reason: str) -> None:
    """Stop all effects, including those of people, until `gpuwise resume`."""
    _record(config, "pause", "*", reason)


@command()
@connection
@why
def resume(config: Config, reason: str) -> None:
    """End a pause."""
    _record(config, "resume", "*", reason)


def _record(config: Config, kind: Literal["dismiss", "pause", "resume"], subject: str, reason: str) -> None:
    directive = Directive(kind, subject, getpass.getuser(), int(time.time()), reason)
    with SqliteLedger(config.ledger.path.expanduser()) as ledger:
        already = record(ledger, directive)
    say(already or f"{kind}: recorded in {config.ledger.path}")
