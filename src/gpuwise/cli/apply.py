"""`gpuwise apply`: carry out one recommendation."""

import getpass
import time

import click
from rich.text import Text

from gpuwise.cli.confirming import ask, finish, sure
from gpuwise.cli.console import err, say
from gpuwise.cli.directives import by
from gpuwise.cli.help import command
from gpuwise.cli.options import connection
from gpuwise.cli.run import warn_unanchored
from gpuwise.config import Config
from gpuwise.manual import find
from gpuwise.model.command import Outcome, OutcomeStatus
from gpuwise.model.errors import InputError
from gpuwise.model.recommendation import Blocked, Recommendation
from gpuwise.report import wording as written
from gpuwise.wiring import manual, open_ledger

_CHECK_S = 5.0


@command()
@connection
@click.argument("recommendation_id", metavar="ID")
@click.option("--wait", is_flag=True, help="Wait until its pods and service levels were checked.")
@sure
def apply(config: Config, recommendation_id: str, wait: bool, yes: bool) -> None:  # noqa: FBT001
    """Carry out one recommendation; safety checks apply to people, too."""
    with open_ledger(config) as ledger:
        item = find(ledger, recommendation_id)
    _warn(item)
    ask(yes=yes)
    with manual(config, getpass.getuser()) as person:
        say(f"Ordered by {by(person.actor, authenticated=person.authenticated)}.", to=err)
        result = person.apply(recommendation_id)
        if wait and isinstance(result, Outcome) and result.status is OutcomeStatus.WATCHING:
            say(f"watching: {result.detail}", to=err)
            result = person.wait(result.command_id, lambda: time.sleep(_CHECK_S))
        warn_unanchored(person.ledger)
    if isinstance(result, Blocked):
        raise InputError(f"{result.reason.value}: {result.detail}", hint="nothing was changed")
    finish(result, f"undo it with: gpuwise undo {result.command_id}")


def _warn(item: Recommendation) -> None:
    pods, undo = (
        "stop or restart" if item.restart_needed else "keep running",
        "can" if item.rollback_possible else "cannot",
    )
    say(Text.assemble((str(item.workload), "bold"), f": {written.change(item.change)}"), to=err)
    say(f"This changes one workload; its pods {pods}.", to=err)
    say(f"Risk {item.risk} of 4, saves {written.usd(item.saving.usd_month)} a month; it {undo} be undone.", to=err)
