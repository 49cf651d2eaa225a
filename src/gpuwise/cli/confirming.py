"""Asking before an effect, and reporting its outcome."""

import sys

import click

from gpuwise.cli.console import say
from gpuwise.model.command import Outcome, OutcomeStatus
from gpuwise.model.errors import InputError

sure = click.option("--yes", is_flag=True, help="Do not ask; required without a terminal.")


def ask(*, yes: bool) -> None:
    """Ask on the terminal whether to go on.

    Args:
        yes: do not ask.

    Raises:
        InputError: there is no terminal.
        click.Abort: the person said no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise InputError("this changes the cluster, and there is no terminal to ask on", hint="give --yes")
    click.confirm("Do it?", abort=True, err=True)


def finish(result: Outcome, then: str) -> None:
    """Print the outcome of an effect.

    Args:
        result: the outcome.
        then: what to add if it succeeded.

    Raises:
        InputError: it did not.
    """
    if result.status in (OutcomeStatus.APPLIED, OutcomeStatus.UNDONE):
        say(f"{result.status.value}: {result.detail}; {then}")
        return
    if result.status is OutcomeStatus.WATCHING:
        following = "`gpuwise run` or `serve` checks its pods and restores it if they fail, as does `apply --wait`"
        say(f"watching: {result.detail}; {following}; {then}")
        return
    reason = result.reason.value if result.reason else result.status.value
    raise InputError(f"{reason}: {result.detail}", hint=_AFTERWARDS[result.status])


# "Nothing was changed" needs proof: the API server refused, or the object was read without the change.
_AFTERWARDS = {
    OutcomeStatus.NOT_APPLIED: "nothing was changed",
    OutcomeStatus.WOULD_APPLY: "nothing was changed: this is a dry run",
    OutcomeStatus.FAILED: "check the object; `gpuwise explain` shows the history",
    OutcomeStatus.REVERTED: "what was before is in place again",
    OutcomeStatus.UNKNOWN: "the next `gpuwise run` or `apply` reads the object; `gpuwise undo` reverts it",
}
