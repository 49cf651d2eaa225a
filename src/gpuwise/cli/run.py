"""`gpuwise run`: the loop, acting as policy allows."""

import threading
from dataclasses import replace

import click
from rich.text import Text

from gpuwise.cli import show
from gpuwise.cli.console import err, out, progress, say
from gpuwise.cli.help import command
from gpuwise.cli.listing import Column, Row, listing
from gpuwise.cli.options import acting, now
from gpuwise.cli.passes import RETRY_S, followed, passed
from gpuwise.cli.stopping import stopping
from gpuwise.config import Config
from gpuwise.lead.clock import monotonic
from gpuwise.lead.leader import Leader
from gpuwise.lead.settings import LeadSettings
from gpuwise.memory.ledger_anchor import AnchoredLedger
from gpuwise.model.command import Command, Outcome, OutcomeStatus
from gpuwise.model.errors import NotLeader
from gpuwise.model.ports import Ledger
from gpuwise.pipeline import Pipeline, Run
from gpuwise.report import wording as written
from gpuwise.report.reasons import reason
from gpuwise.wiring import loop
from gpuwise.wiring import now as clock

_LOOK_S = 0.5  # between two looks at whether the process is to stop, while it waits to become the leader


@command()
@acting
@click.option("--once", is_flag=True, help="Run one pass of the loop, then exit.")
@click.option(
    "--interval",
    "interval_s",
    type=click.IntRange(min=1),
    help="Seconds between passes.  [default: service.interval_s]",
)
@now
def run(config: Config, once: bool, interval_s: int | None, now_s: int | None) -> None:  # noqa: FBT001 - click
    """Run the loop: observe, score, recommend, decide, enact, record, as policy allows."""
    if interval_s is not None:
        config = replace(config, service=replace(config.service, interval_s=interval_s))
    interval_s = config.service.interval_s
    with loop(config, writing=True, at_s=now_s) as pipeline:
        if once:
            await_leadership(pipeline, config.lead)
            _pass(pipeline, now_s)
            return
        stop = stopping()
        while not stop.is_set():
            if not _leads(pipeline, stop):
                return
            pause_s = interval_s if passed(lambda: _pass(pipeline, now_s)) else min(RETRY_S, interval_s)
            followed(pipeline, pause_s, stop, wait=stop.wait)


def await_leadership(pipeline: Pipeline, settings: LeadSettings) -> None:
    """Wait until this process is the leader, as long as a lease of a leader that no longer exists lasts.

    Raises:
        NotLeader: another process is the leader, or the Lease cannot be read or written.
    """
    leader = pipeline.leadership
    if not isinstance(leader, Leader):
        return
    until_s = monotonic() + settings.lease_duration_s + 2 * settings.retry_period_s + settings.election_timeout_s
    while not leader.wait(settings.retry_period_s):
        standing = leader.standing()
        if standing.problem is not None:
            raise NotLeader(standing.problem, hint="or use --no-leader-elect if no other gpuwise writes here")
        if monotonic() > until_s:
            raise NotLeader(f"{standing.holder} is the leader", hint="only one process writes to a cluster")


def _leads(pipeline: Pipeline, stop: threading.Event) -> bool:
    """Wait until this process is the leader; return False if it is stopped before."""
    leader, shown = pipeline.leadership, ""
    while isinstance(leader, Leader) and not leader.wait(_LOOK_S):
        standing = leader.standing()
        state = standing.problem or f"{standing.holder or 'nobody'} is the leader"
        if state != shown:
            say(f"waiting to become the leader: {state}", to=err)
            shown = state
        if stop.is_set():
            return False
    return True


def _pass(pipeline: Pipeline, now_s: int | None) -> None:
    with progress() as shown:
        done = replace(pipeline, progress=shown).run_once(now_s or clock())
    show_run(done)
    warn_unanchored(pipeline.ledger)


def warn_unanchored(ledger: Ledger) -> None:
    """Warn if the cluster does not remember the head of the ledger."""
    if isinstance(ledger, AnchoredLedger) and ledger.anchor.problem is not None:
        state = ledger.anchor.state(ledger)
        say(Text(f"warning: {state}; deleted rows would go unnoticed: see `gpuwise doctor`", "yellow"), to=err)


def show_run(run: Run, *, flags: str = "") -> None:
    """Print the effects of one pass, each with the command that undoes it.

    Args:
        run: the pass.
        flags: with which `gpuwise undo` finds the ledger and the cluster.
    """
    outcomes = {outcome.command_id: outcome for outcome in run.outcomes}
    columns = (Column("USD/month", right=True), Column("Outcome"), Column("Change"))
    rows = [_done(one, outcomes[one.id], flags) for one in run.decision.commands if one.id in outcomes]
    title = f"Actions ({len(rows)})"
    show.put(listing(title, columns, rows, width=out.width) if rows else Text(title, "bold"))
    show.put(show.blocked(run.decision.blocked))


def _done(order: Command, outcome: Outcome, flags: str) -> Row:
    saving = written.usd(order.because.saving.usd_month) if order.because else ""
    change, undo = written.change(order.change), (f"undo: gpuwise undo {order.id}{flags}",)
    if outcome.status in (OutcomeStatus.APPLIED, OutcomeStatus.WATCHING):
        return Row(str(order.workload), (saving, outcome.status.value, change), undo)
    words = f"{reason(outcome.reason)} ({outcome.reason.value})" if outcome.reason is not None else ""
    why = "; ".join(filter(None, (words, outcome.detail)))
    return Row(str(order.workload), (saving, outcome.status.value, f"{change}: {why}"))
