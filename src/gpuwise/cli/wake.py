"""`gpuwise wake`: start a stopped workload again, from its own annotation."""

import getpass
from contextlib import ExitStack

import click

from gpuwise.cli.console import err, say
from gpuwise.cli.help import command
from gpuwise.cli.options import connection
from gpuwise.config import Config
from gpuwise.enact.wake import wake as start
from gpuwise.model.command import Outcome, OutcomeStatus
from gpuwise.model.errors import GpuwiseError, InputError
from gpuwise.wiring import cluster, ledger, now

_PARTS = 3


@command()
@connection
@click.argument("workload", metavar="NAMESPACE/KIND/NAME")
def wake(config: Config, workload: str) -> None:
    """Start a stopped workload again, from its own annotation: nothing else is needed."""
    parts = workload.split("/")
    if len(parts) != _PARTS or not all(parts):
        raise InputError(f"{workload!r} is not NAMESPACE/KIND/NAME", hint="as in research/Deployment/llm")
    with ExitStack() as stack:
        client = cluster(config, stack)
        woken = start(client, *parts, dry_run=config.enact.dry_run)
        say(f"{workload}: {f'started: {woken.detail}' if woken.changed else woken.detail}")
        if woken.command_id:
            _record(config, woken.command_id, stack)


def _record(config: Config, command_id: str, stack: ExitStack) -> None:
    """Record the stop as undone, if the ledger can be reached and has it; the workload is awake in any case."""
    if config.ledger.url is None and not config.ledger.path.expanduser().exists():
        return
    detail = f"woken by {getpass.getuser()} with `gpuwise wake`"
    try:
        records = ledger(config, stack)
        if records.intent(command_id) is not None:
            records.record_outcome(Outcome(command_id, now(), OutcomeStatus.UNDONE, None, detail))
    except GpuwiseError as error:
        say(f"warning: the ledger does not know that {command_id} was undone: {error}", to=err)
