"""`gpuwise energy`: measured energy and its carbon by any key, from the cost history."""

import csv
import json
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import click
from rich.text import Text

from gpuwise.cli import show
from gpuwise.cli.console import out
from gpuwise.cli.cost import keys_option
from gpuwise.cli.csv_cells import safe
from gpuwise.cli.help import command
from gpuwise.cli.listing import Column, Row, listing
from gpuwise.cli.options import ledger_only, now
from gpuwise.cli.windows import HELP, Days, days_of, known_days
from gpuwise.config import Config
from gpuwise.finops.energy import METHOD, EnergyLine, pue_stated
from gpuwise.finops.energy import energy as measured
from gpuwise.report import wording as written
from gpuwise.report.energy_wording import whole
from gpuwise.report.spending_wording import date
from gpuwise.sources.grid import read_intensities, stated
from gpuwise.wiring import cost_history


@dataclass(frozen=True, slots=True)
class _Found:
    by: tuple[str, ...]
    window: str
    lines: Sequence[EnergyLine]
    total: EnergyLine
    missing: str
    pue: str
    grid: str


@command()
@ledger_only
@click.option("--by", callback=keys_option, default="team", show_default=True, help="Keys, as of `gpuwise cost`.")
@click.option("--window", default="month", show_default=True, help=HELP)
@now
@click.option("-o", "--output", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True)
def energy(config: Config, by: tuple[str, ...], window: str, now_s: int | None, form: str) -> None:
    """Show measured energy and its carbon by team, project or another key."""
    at_s = now_s or int(time.time())
    asked = days_of(window, at_s)
    settings, grid = config.finops, read_intensities(config.grid)
    factors = settings.factors({name: one.kg_co2e_per_kwh for name, one in grid.items()})
    with cost_history(config) as history:
        missing = known_days(history, asked, at_s)
        sums = list(history.sums((*by, "region"), asked.start_s, asked.end_s))
    lines, total = measured(sums, by, factors)
    regions = {str(one.keys[-1]) for one in sums}
    named = stated({region: one for region, one in grid.items() if region in regions})
    found = _Found(by, asked.name, lines, total, missing, pue_stated(factors), named)
    {"table": _table, "json": _json, "csv": _csv}[form](found, asked)


def _table(found: _Found, _asked: Days) -> None:
    columns = (Column("kWh", right=True), Column("kg CO2e", right=True), Column("Measured"))
    rows = [
        Row(_label(one, found.by), (_energy(one), _carbon(one), _measured(one))) for one in (*found.lines, found.total)
    ]
    show.put(listing(f"Energy by {', '.join(found.by)}, {found.window}", columns, rows, width=out.width))
    if found.missing:
        show.put(Text(f"{found.missing}: the sums are of what is known.", "yellow"))
    if found.total.unknown_kwh > 0.0:
        show.put(Text(f"{found.total.unknown_kwh:,.1f} kWh are in regions of unknown intensity.", "yellow"))
    said = (f"{found.pue}.", f"{found.grid}.", f"Power: {METHOD}.")
    show.put(Text("\n".join(line for one in said for line in textwrap.wrap(one, min(out.width, 100)))))


def _label(one: EnergyLine, by: Sequence[str]) -> str:
    if one.kind == "total":
        return "Total"
    shown = [date(int(key)) if name == "day" and key else key for name, key in zip(by, one.keys, strict=True)]
    if one.kind == "allocated":
        return " / ".join(key or "(none)" for key in shown)
    return " / ".join([*(key for key in shown if key), "(no pod)"])


def _number(amount: float | None) -> str:
    return "unknown" if amount is None else f"{amount:,.1f}"


def _energy(one: EnergyLine) -> str:
    """What is known; "at least" where the power of a part of the time was not measured."""
    return _at_least(one.kwh, part=not whole(one.measured_gpu_h, one.gpu_h))


def _carbon(one: EnergyLine) -> str:
    """What is known; "at least" where a part of the energy was not measured, or has no known intensity."""
    return _at_least(one.kg_co2e, part=one.unknown_kwh > 0.0 or not whole(one.measured_gpu_h, one.gpu_h))


def _at_least(amount: float | None, *, part: bool) -> str:
    return f"{'at least ' if part and amount is not None else ''}{_number(amount)}"


def _measured(one: EnergyLine) -> str:
    share = written.percent(one.measured_gpu_h / one.gpu_h) if one.gpu_h else "none"
    return f"{share} of {written.gpu_hours(one.gpu_h)}"


def _flat(found: _Found) -> Iterator[dict[str, object]]:
    for one in found.lines:
        keys = (date(int(key)) if name == "day" and key else key for name, key in zip(found.by, one.keys, strict=True))
        yield {**dict(zip(found.by, keys, strict=True)), "kind": one.kind, **_amounts(one)}


def _amounts(one: EnergyLine) -> dict[str, float | None]:
    names = ("gpu_h", "measured_gpu_h", "kwh", "kg_co2e", "unknown_kwh")
    return {name: getattr(one, name) for name in names}


def _json(found: _Found, _asked: Days) -> None:
    body = {
        "window": found.window,
        "by": found.by,
        "lines": list(_flat(found)),
        "total": _amounts(found.total),
        "pue": found.pue,
        "intensity": found.grid,
        "power": METHOD,
        "missing": found.missing or None,
    }
    show.print_raw(json.dumps(body, indent=2))


def _csv(found: _Found, _asked: Days) -> None:
    rows = list(_flat(found))
    names = [*found.by, "kind", "gpu_h", "measured_gpu_h", "kwh", "kg_co2e", "unknown_kwh"]
    writer = csv.DictWriter(sys.stdout, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: safe(value) for name, value in row.items()} for row in rows)
