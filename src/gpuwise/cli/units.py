"""`gpuwise units`: what a request or a unit of work costs and returns, from the cost history."""

import dataclasses
import json
import time

import click
from rich.text import Text

from gpuwise.cli import show
from gpuwise.cli.console import out
from gpuwise.cli.cost import keys_option
from gpuwise.cli.help import command
from gpuwise.cli.listing import Column, Row, listing
from gpuwise.cli.options import connection, now
from gpuwise.cli.windows import HELP, Days, days_of, known_days
from gpuwise.config import Config
from gpuwise.finops.runs import RunCost, run_costs
from gpuwise.finops.units import UnitCost, Unserved, ValueReturn, unit_costs
from gpuwise.memory.cost_history import SqlCostHistory
from gpuwise.model.cost import KEYS
from gpuwise.model.usage import DAY_S
from gpuwise.report import wording as written
from gpuwise.spending import returns, unserved
from gpuwise.wiring import Runs, cost_history, runs


@command()
@connection
@click.option(
    "--by", callback=keys_option, default="namespace,workload", show_default=True, help="Keys of `gpuwise cost`."
)
@click.option("--window", default="month", show_default=True, help=HELP)
@now
@click.option("-o", "--output", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def units(config: Config, by: tuple[str, ...], window: str, now_s: int | None, form: str) -> None:
    """Show cost, energy and return per request, unit of work and successful run, and models that never served."""
    if wrong := [key for key in by if key not in KEYS]:
        raise click.UsageError(f"--by is {wrong[0]!r}: units are by {', '.join(KEYS)}")
    at_s = now_s or int(time.time())
    asked = days_of(window, at_s)
    with cost_history(config) as history:
        missing = known_days(history, asked, at_s)
        lines = unit_costs(history.rows(asked.start_s, asked.end_s), by, config.finops.values)
        gained = returns(history, config.finops.values, asked.start_s, asked.end_s)
        models = unserved(history, asked.start_s, asked.end_s)
        runs_by = tuple(key for key in by if key != "workload")  # a workload is one run
        ended = runs(config, asked.start_s, min(asked.end_s, at_s))
        found, why = _runs(history, ended, runs_by, asked)
    (_json if form == "json" else _table)(_Found(by, asked, lines, gained, models, missing, runs_by, found, why))


def _runs(history: SqlCostHistory, ended: Runs, by: tuple[str, ...], asked: Days) -> tuple[tuple[RunCost, ...], str]:
    """The cost of runs, of the cluster of which it is known how they ended; else why there is none."""
    clusters = history.clusters()
    if ended.ends is None:
        return (), ended.missing
    if len(clusters) > 1 and not ended.cluster:
        return (), f"the history is of {len(clusters)} clusters: give --kubeconfig of the one whose runs are asked for"
    if ended.cluster and clusters and ended.cluster not in clusters:
        which = "another cluster" if len(clusters) == 1 else f"{len(clusters)} clusters, without this one"
        return (), f"the history is of {which}: give --kubeconfig of the one whose runs are asked for"
    own = history.of(ended.cluster) if len(clusters) > 1 else history
    run = ("namespace", "workload")
    earlier = {one.keys for one in own.sums(run, asked.start_s - DAY_S, asked.start_s) if one.time.capacity > 0.0}
    sums = own.sums((*run, *by), asked.start_s, asked.end_s)
    return run_costs(sums, ended.ends, earlier), ended.missing


@dataclasses.dataclass(frozen=True, slots=True)
class _Found:
    by: tuple[str, ...]
    asked: Days
    lines: tuple[UnitCost, ...]
    gained: tuple[ValueReturn, ...]
    models: tuple[Unserved, ...]
    missing: str
    runs_by: tuple[str, ...]
    runs: tuple[RunCost, ...]
    runs_missing: str


def _json(found: _Found) -> None:
    known = [one.usd for one in found.models if one.usd is not None]
    body = {
        "window": found.asked.name,
        "by": found.by,
        "units": [
            {**dict(zip(found.by, one.keys, strict=True)), **{name: getattr(one, name) for name in _AMOUNTS}}
            for one in found.lines
        ],
        "returns": [dataclasses.asdict(one) for one in found.gained],
        "never_served": [dataclasses.asdict(one) for one in found.models],
        "never_served_usd": sum(known) if known or not found.models else None,
        "runs_by": found.runs_by,
        "runs": [
            {**dict(zip(found.runs_by, one.keys, strict=True)), **{name: getattr(one, name) for name in _OF_RUNS}}
            for one in found.runs
        ],
        "runs_missing": found.runs_missing or None,
        "missing": found.missing or None,
    }
    show.print_raw(json.dumps(body, indent=2))


_AMOUNTS = [one.name for one in dataclasses.fields(UnitCost) if one.name != "keys"]
_OF_RUNS = [one.name for one in dataclasses.fields(RunCost) if one.name != "keys"]


def _table(found: _Found) -> None:
    columns = (Column("USD", right=True), Column("USD/unit", right=True), Column("Without idle", right=True),
               Column("What is known"))  # fmt: skip
    rows = [Row(_label(one), (_usd(one.usd), _small(one.usd_per_unit), _small(one.used_usd_per_unit), _known(one)))
            for one in found.lines]  # fmt: skip
    show.put(listing(f"Units by {', '.join(found.by)}, {found.asked.name}", columns, rows, width=out.width))
    _table_of_runs(found)
    for gain in found.gained:
        show.put(Text(_return(gain)))
    if found.models:
        known, named = (
            [one.usd for one in found.models if one.usd is not None],
            ", ".join(one.model for one in found.models[:5]),
        )
        more = f" and {len(found.models) - 5} more" if len(found.models) > 5 else ""
        show.put(
            Text(f"Models that never served: {written.usd(sum(known)) if known else 'no price'} for {named}{more}.")
        )
    if found.missing:
        show.put(Text(f"{found.missing}: the sums are of what is known.", "yellow"))
    show.put(
        Text(
            "USD/unit has idle time in it. Days whose units are not known are lines without units. A workload with "
            "requests and a counter of work is in both lines with its whole cost: the lines are no parts of the bill."
        )
    )


def _table_of_runs(found: _Found) -> None:
    if found.runs:
        columns = (Column("USD", right=True), Column("Of failed", right=True), Column("USD/success", right=True),
                   Column("Runs"))  # fmt: skip
        rows = [Row(" / ".join(key or "(none)" for key in one.keys) or "All", _cells(one)) for one in found.runs]
        by = f" by {', '.join(found.runs_by)}" if found.runs_by else ""
        show.put(listing(f"Runs{by}, {found.asked.name}", columns, rows, width=out.width))
    if found.runs_missing:
        show.put(Text(f"Cost per successful run: {found.runs_missing}.", "yellow"))


def _cells(one: RunCost) -> tuple[str, ...]:
    usd, failed = (_of_ended(one, amount) for amount in (one.usd, one.failed_usd))
    return usd, failed, _small(one.usd_per_successful_run), _counts(one)


def _of_ended(one: RunCost, amount: float | None) -> str:
    return _usd(amount) if one.succeeded or one.failed else "none"


def _counts(one: RunCost) -> str:
    notes = [f"{one.succeeded:,} succeeded, {one.failed:,} failed"] if one.succeeded or one.failed else []
    if one.began_earlier:
        notes.append(f"{one.began_earlier:,} began earlier, and that cost is not in it")
    if one.not_ended:
        notes.append(f"{one.not_ended:,} not ended or not known: {_usd(one.not_ended_usd)}")
    return "; ".join([*notes, *([one.why_none] if one.why_none else [])])


def _label(one: UnitCost) -> str:
    return " / ".join([*(key or "(none)" for key in one.keys), one.unit or "no known units"])


def _known(one: UnitCost) -> str:
    notes = [written.gpu_hours(one.gpu_h)]
    if one.amount is not None:
        notes.insert(0, f"{one.amount:,.0f} units")
    if one.usd is None:
        notes.append("a part has no price")
    if one.joules_per_unit is not None:
        notes.append(f"{one.joules_per_unit:,.3g} J/unit")
    elif one.amount:
        notes.append("energy not measured")
    if one.return_usd is not None and one.value_usd is not None:
        notes.append(f"returns {written.usd(one.value_usd)}, {_times(one.return_ratio)}")
    return "; ".join(notes)


def _return(one: ValueReturn) -> str:
    unpriced = f"; {written.gpu_hours(one.unpriced_gpu_h)} have no price" if one.unpriced_gpu_h > 0.0 else ""
    worth, spent = written.usd(one.value_usd), written.usd(one.usd)
    return f"{one.by} {one.value}: worth {worth} for {spent}, {_times(one.return_ratio)}{unpriced}."


def _times(ratio: float | None) -> str:
    return "no cost" if ratio is None else f"{ratio:,.2f} times its cost"


def _usd(amount: float | None) -> str:
    return "no price" if amount is None else f"{amount:,.2f}"


def _small(amount: float | None) -> str:
    return "unknown" if amount is None else f"{amount:,.4g}"
