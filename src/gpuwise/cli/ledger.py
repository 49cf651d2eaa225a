"""`gpuwise ledger`: verify the record of what was done, and show it as an audit trail."""

import csv
import dataclasses
import json
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime

import click
import yaml
from rich.text import Text

from gpuwise.cli import show as shown
from gpuwise.cli.console import err, out, say
from gpuwise.cli.csv_cells import safe
from gpuwise.cli.help import group
from gpuwise.cli.listing import Column, Row, listing
from gpuwise.cli.options import connection
from gpuwise.config import Config
from gpuwise.memory.ledger_anchor import agree, parse_head
from gpuwise.memory.ledger_audit import Entry, entries, problems
from gpuwise.wiring import ledger_database, must_exist, open_ledger

KINDS = ("intent", "outcome", "directive", "term", "trigger", "delivery", "run")
_UNITS_S = {"m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


@group()
def ledger() -> None:
    """Verify the ledger, or show it as an audit trail."""


@ledger.command()
@connection
@click.option("--ledger-head", metavar="HEAD", help="Compare the ledger with this head, as a report prints it.")
@click.pass_context
def verify(context: click.Context, config: Config, ledger_head: str | None) -> None:
    """Recompute the hash of every row; exit with 1 and say what is wrong in which row if the ledger was changed."""
    must_exist(config)
    with closing(ledger_database(config)) as database:
        database.open()
        with database.of_one_instant() as db:
            found = list(problems(db))
        place = database.place
    for problem in found:
        say(Text.assemble(("changed  ", "red"), problem))
    if found:
        say(
            f"{place} was changed by something else than gpuwise: {len(found)} problems; keep it for the inquiry",
            to=err,
        )
        context.exit(1)
    with open_ledger(config) as opened:
        if ledger_head is not None:
            agree(opened, parse_head(ledger_head), "--ledger-head")
        say(f"{place} is intact: {opened.head().seq} rows, head {opened.head()}")


@ledger.command()
@connection
def migrate(config: Config) -> None:
    """Create the tables of the ledger, or bring them up to date; with PostgreSQL, as the role that owns them."""
    with closing(ledger_database(config)) as database:
        database.open()
        say(f"{database.place} is up to date")


def _since(_ctx: click.Context, _param: click.Parameter, value: str | None) -> int:
    if value is None:
        return 0
    if (span := re.fullmatch(r"(\d{1,6})([mhdw])", value)) is not None:
        return int(time.time()) - int(span[1]) * _UNITS_S[span[2]]
    try:
        at = datetime.fromisoformat(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is neither a time span, such as 24h or 7d, nor a date") from error
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())


@ledger.command()
@connection
@click.option("--since", "since_s", callback=_since, metavar="WHEN", help="From then on: 24h, 7d, or a date in UTC.")
@click.option("--workload", metavar="NAMESPACE/KIND/NAME", help="Of this workload; a part of the name is enough.")
@click.option("--actor", help="Of this actor: policy, or a person.")
@click.option("--kind", "kinds", type=click.Choice(KINDS), multiple=True, help="Of this kind; may be repeated.")
@click.option(
    "-o", "--output", "form", type=click.Choice(["table", "json", "csv", "yaml"]), default="table", show_default=True
)
def show(
    config: Config, since_s: int, workload: str | None, actor: str | None, kinds: Sequence[str], form: str
) -> None:
    """Show who did what to which object, when, and with what result. JSON and YAML have the evidence, too."""
    must_exist(config)
    with closing(ledger_database(config)) as database:
        database.open()
        with database.of_one_instant() as db:
            found = [one for one in entries(db) if one.at_s >= since_s]
    if workload is not None:
        found = [one for one in found if workload in one.workload]
    if actor is not None:
        found = [one for one in found if one.actor == actor]
    if kinds:
        found = [one for one in found if one.kind in kinds]
    _WRITERS[form](found)


def _table(found: Sequence[Entry]) -> None:
    columns = (Column("Row", right=True), Column("UTC"), Column("Kind"), Column("Actor"), Column("What"))
    rows = [_row(one) for one in found]
    title = f"Ledger ({len(rows)} events)"
    shown.put(listing(title, columns, rows, width=out.width) if rows else Text(title, "bold"))


def _row(one: Entry) -> Row:
    what = ": ".join(filter(None, (one.what, one.detail)))
    subject = " ".join(filter(None, (one.workload, one.action))) or one.kind
    return Row(subject, (str(one.seq), _utc(one.at_s), one.kind, one.actor, what))


def _utc(at_s: int) -> str:
    try:
        return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):  # of a row that was changed
        return str(at_s)


def _flat(found: Sequence[Entry]) -> Iterator[dict[str, object]]:
    for one in found:
        fields = dataclasses.asdict(one)
        yield {"seq": one.seq, "at": f"{_utc(one.at_s).replace(' ', 'T')}Z", **fields}


def _json(found: Sequence[Entry]) -> None:
    shown.print_raw(json.dumps(list(_flat(found)), indent=2))


def _yaml(found: Sequence[Entry]) -> None:
    shown.print_raw(yaml.safe_dump(list(_flat(found)), sort_keys=False))


def _csv(found: Sequence[Entry]) -> None:
    names = ["seq", "at", *(field.name for field in dataclasses.fields(Entry) if field.name not in ("seq", "event"))]
    writer = csv.DictWriter(sys.stdout, names, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows({name: safe(cell) for name, cell in row.items()} for row in _flat(found))


_WRITERS: dict[str, Callable[[Sequence[Entry]], None]] = {
    "table": _table,
    "json": _json,
    "csv": _csv,
    "yaml": _yaml,
}
