"""Commands that look and touch nothing: scan, plan, explain."""

import time
from collections.abc import Iterator
from dataclasses import replace

import click
from rich.table import Table
from rich.text import Text

from gpuwise.cli import show
from gpuwise.cli.console import err, out, progress, say
from gpuwise.cli.options import acting, connection, scoring
from gpuwise.config import Config
from gpuwise.decide.decide import Decision
from gpuwise.decide.history import History, State
from gpuwise.model.codec import to_json, to_plain
from gpuwise.model.errors import InputError
from gpuwise.model.inventory import WorkloadRef
from gpuwise.model.ports import Ledger
from gpuwise.model.recommendation import Evidence, Hold, Recommendation, Saving
from gpuwise.model.report import WeeklyReport
from gpuwise.pipeline import Survey
from gpuwise.report import wording as written
from gpuwise.store.ledger import SqliteLedger
from gpuwise.wiring import loop

now = click.option("--now", "now_s", type=int, metavar="EPOCH_S", help="Judge as of this instant instead of now.")
output = click.option("-o", "--output", "form", type=click.Choice(show.FORMATS), default="table", show_default=True)
detailed = click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 when there is something to do.")


@click.command()
@scoring
@now
@output
@click.option("-n", "--namespace", "namespaces", multiple=True, help="Show these namespaces only; all are scored.")
@click.option("-l", "--selector", help="Show workloads with these labels only, as team=search,tier=prod.")
@click.option("-A", "--all-namespaces", is_flag=True, help="Show all namespaces, as without -n.")
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
    with progress() as tell, loop(config, tell, writing=False, at_s=now_s) as pipeline:
        survey = pipeline.survey(at_s)
        pipeline.record(survey, Decision((), ()), at_s)
        report = pipeline.summary(survey, now_s=at_s)
    if selector or (namespaces and not all_namespaces):
        report = _only(report, _chosen(survey, () if all_namespaces else namespaces, _labels(selector)))
    show.document(report, form)
    _warn_unmeasured(survey)
    if detailed_exitcode and report.recommendations:
        context.exit(2)


def _labels(selector: str | None) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in selector.split(",")] if selector else []
    if any(not (key and equals and value) for key, equals, value in pairs):
        raise InputError(f"--selector is {selector!r}", mend="write key=value pairs with commas between")
    return {key: value for key, _, value in pairs}


def _chosen(survey: Survey, namespaces: tuple[str, ...], labels: dict[str, str]) -> set[WorkloadRef]:
    return {
        workload.ref
        for workload in survey.inventory.workloads
        if (not namespaces or workload.ref.namespace in namespaces) and labels.items() <= workload.labels.items()
    }


def _only(report: WeeklyReport, chosen: set[WorkloadRef]) -> WeeklyReport:
    names = {str(ref) for ref in chosen}
    return replace(
        report,
        workloads=tuple(cost for cost in report.workloads if cost.workload in names),
        recommendations=tuple(item for item in report.recommendations if item.workload in chosen),
        holds=tuple(hold for hold in report.holds if hold.workload in chosen),
    )


def _warn_unmeasured(survey: Survey) -> None:
    workloads = survey.inventory.workloads
    blind = [str(one.ref) for one in workloads if not survey.profiles[one.ref].coverage]
    if blind:
        shown = ", ".join(blind[:3]) + (" and others" if len(blind) > 3 else "")
        err.print(Text(f"No samples at all for {len(blind)} of {len(workloads)} workloads: {shown}.", "yellow"))


@click.command()
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
    """Show what `gpuwise run` would do, and what holds the rest. Reads only."""
    at_s = now_s or int(time.time())
    with progress() as tell, loop(config, tell, writing=False, at_s=now_s) as pipeline:
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
    shown = Table(title=f"Would be done ({len(decision.commands)})", title_justify="left")
    for name in ("Recommendation", "Workload", "Do", "USD/month"):
        shown.add_column(name, overflow="fold")
    for command in decision.commands:
        saving = written.usd(command.because.saving.usd_month) if command.because else ""
        cells = (command.recommendation_id, str(command.workload), written.change(command.change), saving)
        shown.add_row(*map(Text, cells))
    out.print(shown)
    out.print(_held(decision.holds))


def _held(holds: tuple[Hold, ...]) -> Table:
    shown = Table(title=f"Held ({len(holds)})", title_justify="left")
    for name in ("Workload", "Reason", "Why, or the next command"):
        shown.add_column(name, overflow="fold")
    for hold in holds:
        shown.add_row(*map(Text, (str(hold.workload), hold.reason.value, hold.detail)))
    return shown


@click.command()
@connection
@click.argument("subject", metavar="ID|WORKLOAD")
@click.option("-o", "--output", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def explain(config: Config, subject: str, form: str) -> None:
    """Explain a recommendation (r-...) or why nothing is done about a workload (namespace/Kind/name)."""
    with SqliteLedger(config.ledger.path.expanduser()) as ledger:
        history = History(ledger.intents(), ledger.outcomes(), ledger.directives())
        found, holds = _about(ledger, history, subject)
    if not found and not holds:
        raise InputError(f"nothing is known about {subject}", mend="run `gpuwise scan`; its table has the IDs")
    if form == "json":
        told = [to_plain(item) | {"state": history.state(item.id)} for item in found]
        show.print_raw(to_json({"recommendations": told, "holds": to_plain(tuple(holds))}, indent=2))
        return
    for item in found:
        _recommended(item, history.state(item.id))
    for hold in holds:
        say(Text.assemble((f"{hold.stage}: {hold.reason.value}", "bold"), f" - {hold.detail}"))
        _numbers(hold.evidence)


def _about(ledger: Ledger, history: History, subject: str) -> tuple[list[Recommendation], list[Hold]]:
    """What the latest run says, and what was carried out since it was last recommended."""
    latest = {item.id: item for item in ledger.recommendations()}
    carried = {i.command.because.id: i.command.because for i in history.intents if i.command.because is not None}
    found = [item for item in (carried | latest).values() if subject in (item.id, str(item.workload))]
    named = {subject, *(str(item.workload) for item in found)}
    return found, [hold for hold in ledger.holds() if str(hold.workload) in named or hold.recommendation_id == subject]


def _recommended(item: Recommendation, state: State) -> None:
    say(Text.assemble((f"{item.id}: {item.workload}: {written.change(item.change)}", "bold")))
    say(f"Finding    {item.finding.value} ({', '.join(item.reasons)}), owner {item.owner or 'nobody'}")
    say(f"State      {state.value}; found {written.when(item.created_s)}, good until {written.when(item.expires_s)}")
    for name, line in _worth(item.saving):
        say(Text(f"{name:10} {line}"))
    say(Text(f"Risk       {item.risk} of 4; confidence {item.confidence:.2f}; {item.coverage:.0%} of samples present"))
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
