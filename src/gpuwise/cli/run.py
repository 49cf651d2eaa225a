"""`gpuwise run`: the loop, acting as policy allows."""

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
from gpuwise.memory.ledger_anchor import AnchoredLedger
from gpuwise.model.command import Command, Outcome, OutcomeStatus
from gpuwise.model.ports import Ledger
from gpuwise.pipeline import Pipeline, Run
from gpuwise.report import wording as written
from gpuwise.report.reasons import reason
from gpuwise.wiring import loop
from gpuwise.wiring import now as clock


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
            _pass(pipeline, now_s)
            return
        stop = stopping()
        while not stop.is_set():
            pause_s = interval_s if passed(lambda: _pass(pipeline, now_s)) else min(RETRY_S, interval_s)
            followed(pipeline, pause_s, stop, wait=stop.wait)


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
