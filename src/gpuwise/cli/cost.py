"""`gpuwise cost`: who pays for what, from the cost history. It reads the ledger's database alone."""

import csv
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

import click
from rich.text import Text

from gpuwise.cli import show
from gpuwise.cli.console import err, out
from gpuwise.cli.csv_cells import safe
from gpuwise.cli.help import command
from gpuwise.cli.listing import Column, Row, listing
from gpuwise.cli.options import ledger_only, now
from gpuwise.cli.windows import HELP, Days, days_of
from gpuwise.config import Config
from gpuwise.finops.allocation import Allocation, CostLine, Spread, allocation, gaps
from gpuwise.finops.series import GONE_D, Calendar
from gpuwise.model.cost import KEYS
from gpuwise.model.errors import InputError
from gpuwise.model.usage import DAY_S
from gpuwise.report import wording as written
from gpuwise.report.spending_wording import date
from gpuwise.wiring import cost_history

_BY = (*KEYS, "cluster", "day")


def _keys(_ctx: click.Context, _param: click.Parameter, value: str) -> tuple[str, ...]:
    return keys_of(value)


def keys_of(text: str) -> tuple[str, ...]:
    """Return the keys of a list such as "team,phase".

    Raises:
        InputError: one does not exist, or occurs twice.
    """
    keys = tuple(filter(None, text.split(",")))
    wrong = [key for key in keys if key not in _BY]
    if wrong or len(set(keys)) < len(keys) or not keys:
        hint = f"name keys of {', '.join(_BY)}, each once, separated by commas"
        raise InputError(f"the cost cannot be allocated by {text!r}", hint=hint)
    return keys


@command()
@ledger_only
@click.option("--by", callback=_keys, default="team", show_default=True, help=f"Keys: {', '.join(_BY)}.")
@click.option("--window", "window", default="month", show_default=True, help=HELP)
@click.option(
    "--spread",
    type=click.Choice([one.value for one in Spread]),
    default=Spread.NONE.value,
    show_default=True,
    help="Divide the cost of time that no pod was allocated among the others.",
)
@now
@click.option("-o", "--output", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True)
def cost(config: Config, by: tuple[str, ...], window: str, spread: str, now_s: int | None, form: str) -> None:
    """Show the cost by team, project, model or another key; it sums to the bill."""
    asked, found = allocated(config, by, window, Spread(spread), now_s or int(time.time()))
    if found.missing and form != "table":
        err.print(Text(f"{asked.name}: {found.missing}", "yellow"))
    _WRITERS[form](found, asked)


def allocated(config: Config, by: tuple[str, ...], window: str, spread: Spread, at_s: int) -> tuple[Days, Allocation]:
    """Allocate the cost of a window, and return it with the days that the window names.

    Args:
        config: names the ledger.
        by: the keys.
        window: as `--window` takes it.
        spread: how the cost of time that no pod was allocated is divided.
        at_s: now, epoch seconds.

    Raises:
        InputError: the window is none, or no day of it is in the cost history.
    """
    asked = days_of(window, at_s)
    with cost_history(config) as history:
        days = history.days(asked.start_s - GONE_D * DAY_S, asked.end_s)  # of each cluster
        calendar = Calendar.of(days)  # a day that one of them lacks is not complete
        known = {day.day_s: calendar.at(day.day_s) is not None for day in days if day.day_s >= asked.start_s}
        if not known:
            raise InputError(
                f"the cost history has no day of {asked.name}",
                hint="run `gpuwise scan` with this ledger first: it adds the days of its look-back",
            )
        until_s = min(asked.end_s, at_s)
        missing = gaps(known, asked.start_s, until_s)
        return asked, _dated(allocation(history.sums(by, asked.start_s, asked.end_s), by, spread, missing))


def _dated(found: Allocation) -> Allocation:
    """Replace midnights by dates, and sort the lines by them."""
    if "day" not in found.by:
        return found
    at = found.by.index("day")

    def dated(keys: tuple[str | None, ...]) -> tuple[str | None, ...]:
        return (*keys[:at], date(int(keys[at] or 0)), *keys[at + 1 :])

    lines = sorted((replace(one, keys=dated(one.keys)) for one in found.lines), key=lambda one: one.keys[at] or "")
    return replace(found, lines=tuple(lines))


def _table(found: Allocation, asked: Days) -> None:
    columns = (Column("USD", right=True), Column("Idle", right=True), Column("GPU-hours", right=True), Column("Share"))
    rows = [_row(one, found) for one in (*found.lines, found.total)]
    title = f"Cost by {', '.join(found.by)}, {asked.name}"
    show.put(listing(title, columns, rows, width=out.width))
    if found.missing:
        show.put(Text(f"{found.missing}: the sums are of what is known.", "yellow"))
    if found.total.unpriced_gpu_h > 0:
        hours = written.gpu_hours(found.total.unpriced_gpu_h)
        show.put(Text(f"{hours} have no price and are not part of the dollars.", "yellow"))


def _row(one: CostLine, found: Allocation) -> Row:
    whole = found.total
    by_time = not whole.cents or whole.unpriced_gpu_h > 0
    part, total = (one.gpu_h, whole.gpu_h) if by_time else (one.cents or 0, whole.cents or 0)
    share = written.percent(part / total) if total else ""
    notes = [f"{share}{' of the time' if by_time else ''}"]
    if one.shared_cents:
        notes.append(f"with {_usd(one.shared_cents)} of shared cost")
    if one.unknown_gpu_h and one.kind == "allocated":
        notes.append(f"{written.gpu_hours(one.unknown_gpu_h)} not measured")
    return Row(label(one), (_usd(one.cents), _usd(one.idle_cents), f"{one.gpu_h:,.1f}", "; ".join(notes)))


def label(one: CostLine) -> str:
    """The name of a line for people."""
    if one.kind == "total":
        return "Total"
    names = [key or "(none)" for key in one.keys]
    if one.kind == "allocated":
        return " / ".join(names)
    named = [key for key in one.keys if key is not None]
    return " / ".join([*named, f"({'outside Kubernetes' if one.kind == 'outside' else one.kind})"])


def _usd(cents: int | None) -> str:
    return "no price" if cents is None else f"{cents // 100:,}.{cents % 100:02d}"


def _flat(found: Allocation) -> Iterator[dict[str, object]]:
    for one in found.lines:
        yield {
            **dict(zip(found.by, one.keys, strict=True)),
            "kind": one.kind,
            "usd": None if one.cents is None else one.cents / 100,
            "idle_usd": None if one.idle_cents is None else one.idle_cents / 100,
            "shared_usd": one.shared_cents / 100,
            "gpu_h": one.gpu_h,
            "idle_gpu_h": one.idle_gpu_h,
            "unknown_gpu_h": one.unknown_gpu_h,
            "unpriced_gpu_h": one.unpriced_gpu_h,
        }


def document(found: Allocation, asked: Days) -> str:
    """Return an allocation as JSON, which `-o json` prints and the service's API answers."""
    total = found.total
    body = {
        "window": asked.name,
        "by": found.by,
        "lines": list(_flat(found)),
        "total_usd": None if total.cents is None else total.cents / 100,
        "total_gpu_h": total.gpu_h,
        "unpriced_gpu_h": total.unpriced_gpu_h,
        "missing": found.missing or None,
    }
    return json.dumps(body, indent=2)


def _json(found: Allocation, asked: Days) -> None:
    show.print_raw(document(found, asked))


def _csv(found: Allocation, _asked: Days) -> None:
    rows = list(_flat(found))
    names = [*found.by, "kind", "usd", "idle_usd", "shared_usd", "gpu_h", "idle_gpu_h", "unknown_gpu_h",
             "unpriced_gpu_h"]  # fmt: skip
    writer = csv.DictWriter(sys.stdout, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: safe(value) for name, value in row.items()} for row in rows)


_WRITERS = {"table": _table, "json": _json, "csv": _csv}
