"""`gpuwise undo`: restore what one action changed."""

import getpass
from typing import NoReturn

import click

from gpuwise.cli.confirming import ask, finish, sure
from gpuwise.cli.console import err, say
from gpuwise.cli.help import command
from gpuwise.cli.options import connection
from gpuwise.config import Config
from gpuwise.enact.images import change_text
from gpuwise.model.errors import ClusterError, InputError
from gpuwise.wiring import manual, open_ledger


@command()
@connection
@click.argument("command_id", metavar="ID")
@sure
def undo(config: Config, command_id: str, yes: bool) -> None:  # noqa: FBT001
    """Restore exactly what an action (a-...) changed, unless somebody changed it since."""
    with open_ledger(config) as ledger:
        if ledger.intent(command_id) is None:
            _unknown(config, command_id)
    with manual(config, getpass.getuser()) as person:
        intent = person.done(command_id)
        say(f"{intent.command.workload}: {change_text(intent.post_image, intent.pre_image)}", to=err)
        ask(yes=yes)
        result = person.undo(command_id)
    finish(result, "the object is as before")


def _unknown(config: Config, command_id: str) -> NoReturn:
    """Raise: the ledger has no such action, or the cluster remembers a newer ledger, so rows are missing."""
    try:
        with manual(config, getpass.getuser()) as person:
            person.done(command_id)
    except (ClusterError, InputError) as error:
        problem = f"the ledger {config.ledger.url or config.ledger.path} has no action {command_id}"
        raise InputError(problem, hint="`gpuwise report` lists what was done") from error
    raise AssertionError(command_id)
