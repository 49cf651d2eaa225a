"""Commands that look and touch nothing: scan, plan, explain."""

import time
from collections.abc import Iterator
from dataclasses import replace

import click
from rich.text import Text

from gpuwise.cli import show
from gpuwise.cli.console import err, out, progress, say
from gpuwise.cli.help import command
from gpuwise.cli.listing import Column, Row, folded, listing, wrapped
from gpuwise.cli.options import acting, connection, now, scoring
from gpuwise.cli.selecting import Existing, selection
from gpuwise.config import Config
from gpuwise.decide.decide import Decision
from gpuwise.decide.history import History, State
from gpuwise.memory.ledger import SqliteLedger
from gpuwise.model.codec import to_json, to_plain
from gpuwise.model.command import Command
from gpuwise.model.errors import InputError
from gpuwise.model.ports import Ledger
from gpuwise.model.recommendation import Blocked, Evidence, Reason, Recommendation, Saving
from gpuwise.pipeline import Survey
from gpuwise.report import wording as written
from gpuwise.report.reasons import next_command, reason
from gpuwise.wiring import loop

output = click.option("-o", "--output", "form", type=click.Choice(show.FORMATS), default="table", show_default=True)
detailed = click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 when there is something to do.")


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
@click.option("-A", "--all-namespaces", is_flag=True, help="All namespaces, as without -n.")
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
    """Find idle GPUs, what they cost, and what to do about them. Reads only."""
    at_s = now_s or int(time.time())
    chosen = selection(namespaces, selector, everywhere=all_namespaces)
    with progress() as tell, loop(config, tell, writing=False, at_s=now_s) as pipeline:
        survey = replace(pipeline, inventory=Existing(pipeline.inventory, chosen.namespaces)).survey(at_s)
        pipeline.record(survey, Decision((), ()), at_s)
        shown = chosen.of(survey)
        report = pipeline.summary(shown, now_s=at_s)
    show.document(report, form)
    _warn_unmeasured(shown)
    if detailed_exitcode and report.recommendations:
        context.exit(2)


def _warn_unmeasured(survey: Survey) -> None:
    workloads = survey.inventory.workloads
    blind = [str(one.ref) for one in workloads if not survey.profiles[one.ref].coverage]
    if blind:
        shown = ", ".join(blind[:3]) + (" and others" if len(blind) > 3 else "")
        err.print(Text(f"No samples at all for {len(blind)} of {len(workloads)} workloads: {shown}.", "yellow"))


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
    with progress() as tell, loop(config, tell, writing=False, planning=True, at_s=now_s) as pipeline:
        survey = pipeline.survey(at_s)
        decision = pipeline.decide(survey, at_s)
        pipeline.record(survey, decision, at_s)
    if form == "json":
        show.print_raw(to_json(decision, indent=2))
    else:
        _planned(decision)
    if detailed_exitcode and decision.commands:
        context.exit(2)


def _planned(decision: Decision) -> None:
    columns = (Column("ID"), Column("USD/month", right=True), Column("Risk"), Column("What would be done"))
    rows = [Row(str(one.workload), (one.recommendation_id, *_price(one))) for one in decision.commands]
    title = f"Would be done ({len(rows)})"
    show.put(listing(title, columns, rows, width=out.width) if rows else Text(title, "bold"))
    show.put(_blocked(decision.blocked))


def _price(order: Command) -> tuple[str, str, str]:
    why = order.because
    said = written.change(order.change)
    return ("", "", said) if why is None else (written.usd(why.saving.usd_month), written.risk(why.risk), said)


def _blocked(blocked: tuple[Blocked, ...]) -> Text:
    """One entry a reason: how many, in plain words, the most expensive of them and the next command for that."""
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


@command()
@connection
@click.argument("subject", metavar="ID|WORKLOAD")
@click.option("-o", "--output", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def explain(config: Config, subject: str, form: str) -> None:
    """Explain a recommendation (r-...) or why nothing is done about a workload (namespace/Kind/name)."""
    with SqliteLedger(config.ledger.path.expanduser()) as ledger:
        history = History(ledger.intents(), ledger.outcomes(), ledger.directives())
        found, blocked = _about(ledger, history, subject)
    if not found and not blocked:
        raise InputError(f"nothing is known about {subject}", hint="run `gpuwise scan`; its table has the IDs")
    if form == "json":
        told = [to_plain(item) | {"state": history.state(item.id)} for item in found]
        show.print_raw(to_json({"recommendations": told, "holds": to_plain(tuple(blocked))}, indent=2))
        return
    for item in found:
        _recommended(item, history.state(item.id))
    for one in blocked:
        say(Text.assemble((f"{one.stage}: {one.reason.value}", "bold"), f" - {one.detail}"))
        _numbers(one.evidence)


def _about(ledger: Ledger, history: History, subject: str) -> tuple[list[Recommendation], list[Blocked]]:
    """What the latest run says, and what was carried out since it was last recommended."""
    latest = {item.id: item for item in ledger.recommendations()}
    carried = {i.command.because.id: i.command.because for i in history.intents if i.command.because is not None}
    found = [item for item in (carried | latest).values() if subject in (item.id, str(item.workload))]
    named = {subject, *(str(item.workload) for item in found)}
    return found, [
        item for item in ledger.blocked() if str(item.workload) in named or item.recommendation_id == subject
    ]


def _recommended(item: Recommendation, state: State) -> None:
    say(Text.assemble((f"{item.id}: {item.workload}: {written.change(item.change)}", "bold")))
    say(f"Finding    {written.finding(item.finding)} ({item.finding.value}), owner {item.owner or 'nobody'}")
    for code in item.reasons:
        say(f"           {reason(code)} ({code.value})")
    say(f"State      {state.value}; found {written.when(item.created_s)}, good until {written.when(item.expires_s)}")
    for name, line in _worth(item.saving):
        say(Text(f"{name:10} {line}"))
    say(Text(f"Risk       {item.risk} of 4; confidence {item.confidence:.2f}"))
    say(Text(f"Data       {written.data(item)}"))
    say(f"Restart    {'yes' if item.restart_needed else 'no'}; effort {item.effort}")
    _numbers(item.evidence)
    if state in {State.SUCCEEDED, State.DISMISSED}:
        return
    if written.next_step(item) == "apply":
        say(f"Do it      gpuwise apply {item.id}")
    else:
        say(f"Do it      {_by_hand(item)}")
    say(f"Or not     gpuwise dismiss {item.id} --reason '...'")


def _by_hand(item: Recommendation) -> str:
    if item.workload.kind == "Node":
        return "who runs the node does it: gpuwise advises here and writes nothing"
    return f"change the manifest: gpuwise does not write this to a {item.workload.kind}"


def _worth(saving: Saving) -> Iterator[tuple[str, str]]:
    low, high = written.usd(saving.low_usd_month), written.usd(saving.high_usd_month)
    yield "Worth", f"{written.usd(saving.usd_month)} a month, between {low} and {high}"
    if saving.gpu_h_month > 0:
        price = written.usd(saving.usd_month / saving.gpu_h_month)
        yield "", f"{saving.gpu_h_month:,.0f} GPU-hours a month x {price} an hour on the nodes it runs on"
    if saving.kwh_month is not None:
        carbon = saving.kg_co2e_month
        emitted = "CO2e unknown: no grid intensity for its region" if carbon is None else f"{carbon:,.0f} kg CO2e"
        yield "Energy", f"{saving.kwh_month:,.0f} kWh a month, {emitted}"


def _numbers(evidence: tuple[Evidence, ...]) -> None:
    for number in evidence:
        value = "nothing sampled" if number.value is None else f"{number.value:,.4g} {number.unit}"
        limit = "" if number.threshold is None else f", held against {number.threshold:,.4g}"
        say(Text(f"  {number.text}: {number.statistic} {value}{limit}"))
        if number.query is not None:
            say(Text(f"    {number.query}", "dim"))
