"""`gpuwise plan`: what `gpuwise run` would do, and what blocks the rest. Reads only."""

import time

import click
from rich.text import Text

from gpuwise.cli import show
from gpuwise.cli.console import out, progress
from gpuwise.cli.help import command
from gpuwise.cli.listing import Column, Row, folded, listing, wrapped
from gpuwise.cli.options import acting, now
from gpuwise.config import Config
from gpuwise.decide.decide import Decision
from gpuwise.model.codec import to_json
from gpuwise.model.command import Command
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked
from gpuwise.report import wording as written
from gpuwise.report.reasons import next_command, reason
from gpuwise.wiring import loop

detailed = click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 if there is something to do.")


@command()
@acting
@now
@click.option("-o", "--output", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@detailed
@click.pass_context
def plan(
    context: click.Context,
    config: Config,
    now_s: int | None,
    form: str,
    detailed_exitcode: bool,  # noqa: FBT001
) -> None:
    """Show what `gpuwise run` would do, and what blocks the rest. Reads only."""
    at_s = now_s or int(time.time())
    with progress() as step, loop(config, step, writing=False, planning=True, at_s=now_s) as pipeline:
        survey = pipeline.survey(at_s)
        decision = pipeline.decide(survey, at_s)
        pipeline.record(survey, decision, at_s)
        pipeline.record_costs(survey, at_s)
    if form == "json":
        show.print_raw(to_json(decision, indent=2))
    else:
        show_plan(decision)
    if detailed_exitcode and decision.commands:
        context.exit(2)


def show_plan(decision: Decision) -> None:
    """Print the commands of a decision, and what is blocked."""
    columns = (Column("ID"), Column("USD/month", right=True), Column("Risk"), Column("What gpuwise would do"))
    rows = [Row(str(one.workload), (one.recommendation_id, *_price(one))) for one in decision.commands]
    title = f"Planned ({len(rows)})"
    show.put(listing(title, columns, rows, width=out.width) if rows else Text(title, "bold"))
    show.put(_blocked(decision.blocked))


def _price(order: Command) -> tuple[str, str, str]:
    why, what = order.because, written.change(order.change)
    return ("", "", what) if why is None else (written.usd(why.saving.usd_month), written.risk(why.risk), what)


def _blocked(blocked: tuple[Blocked, ...]) -> Text:
    """List what is blocked by reason: the count, the most expensive example, and the next command for it."""
    groups: dict[Reason, list[Blocked]] = {}
    for item in blocked:
        groups.setdefault(item.reason, []).append(item)
    text = Text(f"Blocked ({len(blocked)})", style="bold")
    for code, found in sorted(groups.items(), key=lambda group: -len(group[1])):
        head = "\n".join(wrapped(f"{len(found)}: {reason(code)} ({code.value})", out.width, indent=2))
        text.append(f"\n{head}", style="bold")
        first = found[0]
        named = "\n      ".join(folded(str(first.workload), out.width - 6))
        text.append(f"\n      {named}", style="not bold")
        text.append("\n" + "\n".join(wrapped(first.detail, out.width, indent=6)), style="not bold")
        text.append(f"\n      next: {next_command(first)}", style="not bold")
    return text
