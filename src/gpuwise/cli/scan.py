"""`gpuwise scan`: idle GPUs, their cost, and what to do about them. Reads only."""

import time
from dataclasses import replace

import click
from rich.text import Text

from gpuwise.cli import show
from gpuwise.cli.console import err, progress
from gpuwise.cli.help import command
from gpuwise.cli.options import now, scoring
from gpuwise.cli.plan import detailed
from gpuwise.cli.selecting import Existing, selection
from gpuwise.config import Config
from gpuwise.decide.decide import Decision
from gpuwise.pipeline import Survey
from gpuwise.weekly import summary
from gpuwise.wiring import loop

output = click.option("-o", "--output", "form", type=click.Choice(show.FORMATS), default="table", show_default=True)


@command()
@scoring
@now
@output
@click.option(
    "-n",
    "--namespace",
    "namespaces",
    multiple=True,
    help="Only these namespaces, in tables, sums and headline.",
)
@click.option("-l", "--selector", help="Only workloads with these labels, as kubectl's -l: team in (a,b),!legacy.")
@click.option("-A", "--all-namespaces", is_flag=True, help="All namespaces (the default).")
@detailed
@click.pass_context
def scan(
    context: click.Context,
    config: Config,
    now_s: int | None,
    form: str,
    namespaces: tuple[str, ...],
    selector: str | None,
    all_namespaces: bool,  # noqa: FBT001 - click passes flags by keyword
    detailed_exitcode: bool,  # noqa: FBT001
) -> None:
    """Find idle GPUs, their cost, and what to do about them. Reads only."""
    at_s = now_s or int(time.time())
    chosen = selection(namespaces, selector, everywhere=all_namespaces)
    with progress() as step, loop(config, step, writing=False, at_s=now_s) as pipeline:
        survey = replace(pipeline, inventory=Existing(pipeline.inventory, chosen.namespaces)).survey(at_s)
        pipeline.record(survey, Decision((), ()), at_s)
        pipeline.record_costs(survey, at_s)
        shown = chosen.of(survey)
        report = summary(pipeline, shown, now_s=at_s)
    show.document(report, form)
    _warn_unmeasured(shown)
    if detailed_exitcode and report.recommendations:
        context.exit(2)


def _warn_unmeasured(survey: Survey) -> None:
    workloads = survey.inventory.workloads
    blind = [str(one.ref) for one in workloads if not survey.profiles.billed[one.ref].coverage]
    if blind:
        shown = ", ".join(blind[:3]) + (" and others" if len(blind) > 3 else "")
        err.print(Text(f"No samples at all for {len(blind)} of {len(workloads)} workloads: {shown}.", "yellow"))
