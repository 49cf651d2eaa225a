"""Commands that change the cluster or what gpuwise is allowed: run, apply, undo, dismiss, pause, resume."""

import getpass
import sys
import time
from dataclasses import replace
from typing import Literal, NoReturn

import click
from rich.text import Text

from gpuwise.by_hand import find, tell
from gpuwise.cli import show
from gpuwise.cli.console import err, out, progress, say, stopping
from gpuwise.cli.help import command
from gpuwise.cli.listing import Column, Row, listing
from gpuwise.cli.options import acting, connection, now
from gpuwise.cli.passes import RETRY_S, passed
from gpuwise.config import Config
from gpuwise.enact.images import change_text
from gpuwise.memory.ledger import SqliteLedger
from gpuwise.memory.ledger_anchor import AnchoredLedger
from gpuwise.model.command import Command, Directive, Outcome, OutcomeStatus
from gpuwise.model.errors import ClusterError, InputError
from gpuwise.model.ports import Ledger
from gpuwise.model.recommendation import Blocked, Recommendation
from gpuwise.pipeline import Pipeline, Run
from gpuwise.report import wording as written
from gpuwise.report.reasons import reason
from gpuwise.wiring import by_hand, loop
from gpuwise.wiring import now as clock

sure = click.option("--yes", is_flag=True, help="Do not ask; required off a terminal.")
why = click.option("--reason", default="", help="Why, for whoever asks later.")


@command()
@acting
@click.option("--once", is_flag=True, help="One pass of the loop instead of one every --interval.")
@click.option(
    "--interval",
    "interval_s",
    type=click.IntRange(min=1),
    default=3_600,
    show_default=True,
    help="Seconds between passes.",
)
@now
def run(config: Config, once: bool, interval_s: int, now_s: int | None) -> None:  # noqa: FBT001 - click
    """Observe, score, recommend, decide, enact, record: the loop, as policy allows."""
    with loop(config, writing=True, at_s=now_s) as pipeline:
        if once:
            _pass(pipeline, now_s)
            return
        stop = stopping()
        while not stop.is_set():
            stop.wait(interval_s if passed(lambda: _pass(pipeline, now_s)) else min(RETRY_S, interval_s))


def _pass(pipeline: Pipeline, now_s: int | None) -> None:
    with progress() as shown:
        done = replace(pipeline, progress=shown).run_once(now_s or clock())
    told(done)
    _warn_unanchored(pipeline.ledger)


def _warn_unanchored(ledger: Ledger) -> None:
    if isinstance(ledger, AnchoredLedger) and ledger.anchor.problem is not None:
        said = f"{ledger.anchor.state(ledger)}; deleted rows would go unnoticed: see `gpuwise doctor`"
        say(Text(f"warning: {said}", "yellow"), to=err)


def told(run: Run, *, flags: str = "") -> None:
    """Show what one pass of the loop did, with the command that undoes it.

    Args:
        run: the pass.
        flags: that `gpuwise undo` needs to find ledger and cluster again.
    """
    outcomes = {outcome.command_id: outcome for outcome in run.outcomes}
    columns = (Column("USD/month", right=True), Column("Outcome"), Column("What was to be done"))
    rows = [_done(one, outcomes[one.id], flags) for one in run.decision.commands if one.id in outcomes]
    title = f"Actions ({len(rows)})"
    show.put(listing(title, columns, rows, width=out.width) if rows else Text(title, "bold"))
    show.put(show.blocked(run.decision.blocked))


def _done(order: Command, outcome: Outcome, flags: str) -> Row:
    saving = written.usd(order.because.saving.usd_month) if order.because else ""
    said, undo = written.change(order.change), (f"undo it: gpuwise undo {order.id}{flags}",)
    if outcome.status is OutcomeStatus.APPLIED:
        return Row(str(order.workload), (saving, outcome.status.value, said), undo)
    words = f"{reason(outcome.reason)} ({outcome.reason.value})" if outcome.reason is not None else ""
    why = "; ".join(filter(None, (words, outcome.detail)))
    return Row(str(order.workload), (saving, outcome.status.value, f"{said}: {why}"))


@command()
@connection
@click.argument("recommendation_id", metavar="ID")
@sure
def apply(config: Config, recommendation_id: str, yes: bool) -> None:  # noqa: FBT001
    """Carry out one recommendation; safety gates hold for people, too."""
    with SqliteLedger(config.ledger.path.expanduser()) as ledger:
        item = find(ledger, recommendation_id)
    _warn(item)
    _ask(yes=yes)
    with by_hand(config, getpass.getuser()) as person:
        result = person.apply(recommendation_id)
        _warn_unanchored(person.ledger)
    if isinstance(result, Blocked):
        raise InputError(f"{result.reason.value}: {result.detail}", hint="nothing was changed")
    _outcome(result, f"undo it with: gpuwise undo {result.command_id}")


def _warn(item: Recommendation) -> None:
    pods, undo = "stop or restart" if item.restart_needed else "go on", "can" if item.rollback_possible else "cannot"
    say(Text.assemble((str(item.workload), "bold"), f": {written.change(item.change)}"), to=err)
    say(f"One workload is touched; its pods {pods}.", to=err)
    say(f"Risk {item.risk} of 4, worth {written.usd(item.saving.usd_month)} a month; it {undo} be undone.", to=err)


@command()
@connection
@click.argument("command_id", metavar="ID")
@sure
def undo(config: Config, command_id: str, yes: bool) -> None:  # noqa: FBT001
    """Restore exactly what a command (a-...) changed, unless somebody changed it since."""
    with SqliteLedger(config.ledger.path.expanduser()) as ledger:
        if ledger.intent(command_id) is None:
            _unknown(config, command_id)
    with by_hand(config, getpass.getuser()) as person:
        intent = person.done(command_id)
        say(f"{intent.command.workload}: {change_text(intent.post_image, intent.pre_image)}", to=err)
        _ask(yes=yes)
        result = person.undo(command_id)
    _outcome(result, "it is as it was")


def _unknown(config: Config, command_id: str) -> NoReturn:
    """Say that the ledger has no such command, or, where a cluster remembers more of it, that rows are missing."""
    try:
        with by_hand(config, getpass.getuser()) as person:
            person.done(command_id)
    except (ClusterError, InputError) as error:
        problem = f"the ledger {config.ledger.path} knows no command {command_id}"
        raise InputError(problem, hint="`gpuwise report` lists what was done") from error
    raise AssertionError(command_id)


def _ask(*, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise InputError("this changes the cluster and there is no terminal to ask on", hint="give --yes")
    click.confirm("Do it?", abort=True, err=True)


def _outcome(result: Outcome, then: str) -> None:
    if result.status in (OutcomeStatus.APPLIED, OutcomeStatus.UNDONE):
        say(f"{result.status.value}: {result.detail}; {then}")
        return
    reason = result.reason.value if result.reason else result.status.value
    raise InputError(f"{reason}: {result.detail}", hint=_AFTERWARDS[result.status])


# "Nothing was changed" is said where the server said so, or the object was seen without the change.
_AFTERWARDS = {
    OutcomeStatus.NOT_APPLIED: "nothing was changed",
    OutcomeStatus.WOULD_APPLY: "nothing was changed: this is a dry run",
    OutcomeStatus.FAILED: "look at the object; `gpuwise explain` has the history",
    OutcomeStatus.UNKNOWN: "the next `gpuwise run` or `apply` looks at the object, and `gpuwise undo` reverts it",
}


@command()
@connection
@click.argument("recommendation_id", metavar="ID")
@why
def dismiss(config: Config, recommendation_id: str, reason: str) -> None:
    """Never do this; it stays in reports as dismissed."""
    _tell(config, "dismiss", recommendation_id, reason)


@command()
@connection
@why
def pause(config: Config, reason: str) -> None:
    """Stop all effects from the next decision on, people's included, until resume."""
    _tell(config, "pause", "*", reason)


@command()
@connection
@why
def resume(config: Config, reason: str) -> None:
    """End a pause."""
    _tell(config, "resume", "*", reason)


def _tell(config: Config, kind: Literal["dismiss", "pause", "resume"], subject: str, reason: str) -> None:
    directive = Directive(kind, subject, getpass.getuser(), int(time.time()), reason)
    with SqliteLedger(config.ledger.path.expanduser()) as ledger:
        already = tell(ledger, directive)
    say(already or f"{kind}: recorded in {config.ledger.path}")
