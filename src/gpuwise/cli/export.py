"""`gpuwise export`: the cost history as charges of FOCUS 1.3."""

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from itertools import groupby
from pathlib import Path
from typing import BinaryIO

import click

from gpuwise.cli.console import err, say
from gpuwise.cli.focus_files import TEXTS, write_parquet
from gpuwise.cli.help import command
from gpuwise.cli.options import ledger_only, now
from gpuwise.cli.paths import FILE
from gpuwise.cli.windows import HELP, Days, days_of
from gpuwise.config import Config
from gpuwise.finops.focus import Account, Cell, focus_rows, unpriced
from gpuwise.memory.cost_history import SqlCostHistory
from gpuwise.model.errors import InputError
from gpuwise.sources.catalogue import CLOUDS, read_catalogue
from gpuwise.wiring import must_exist, open_ledger

_UNKNOWN = "unknown provider"


@command()
@ledger_only
@click.option(
    "--window",
    default="month",
    show_default=True,
    metavar="WHEN",
    help=HELP,
)
@click.option("--cluster", metavar="UID", help="Of this cluster of the ledger.  [default: of all]")
@click.option("--billing-account", metavar="ID", help="BillingAccountId.  [default: --cluster-name]")
@click.option("--provider", metavar="NAME", help="Who provides the GPUs.  [default: by region]")
@now
@click.option("-o", "form", type=click.Choice([*TEXTS, "parquet"]), default="csv", show_default=True, help="Format.")
@click.option("--output", "file", type=FILE, help="Write to this file; Parquet needs one.")
def export(
    config: Config,
    window: str,
    cluster: str | None,
    billing_account: str | None,
    provider: str | None,
    now_s: int | None,
    form: str,
    file: Path | None,
) -> None:
    """Export the cost history as charges of FOCUS 1.3: CSV, JSON or Parquet."""
    asked = days_of(window, now_s or int(time.time()))
    if form == "parquet" and file is None:
        raise InputError("Parquet is not text", hint="name a file with --output")
    must_exist(config)
    with open_ledger(config) as ledger:
        history = ledger.costs()
        chosen = _clusters(config, history.clusters(), cluster)
        payer, source = billing_account or config.cluster_name, provider or _UNKNOWN
        known = {} if provider else {one.region: CLOUDS[one.cloud] for one in read_catalogue()}
        accounts = [Account(one or config.cluster_name, name, payer, source, known) for one, name in chosen]
        histories = [history.of(one) for one, _ in chosen]
        missed: dict[str, float] = {}
        charges = (
            charge
            for account, one in zip(accounts, histories, strict=True)
            for charge in _charges(one, asked, account, missed)
        )
        _write(charges, form, file)
        _explain(histories, asked, missed)


def _clusters(config: Config, known: list[str], asked: str | None) -> list[tuple[str, str]]:
    """The clusters to export, with their names: only one cluster has the name that the configuration gives."""
    if asked is not None and asked not in known:
        named = ", ".join(filter(None, known)) or "of none"
        raise InputError(f"--cluster is {asked!r}, and the ledger has days of {named}", hint="name one of these")
    chosen = known if asked is None else [asked]
    return [(one, config.cluster_name if len(known) == 1 or not one else one) for one in chosen]


def _charges(
    history: SqlCostHistory, window: Days, account: Account, missed: dict[str, float]
) -> Iterator[dict[str, Cell]]:
    days = history.days(window.start_s, window.end_s)
    for _, of_day in groupby(history.rows(window.start_s, window.end_s), key=lambda row: row.day_s):
        costs = list(of_day)
        for gpu_type, hours in unpriced(costs).items():
            name = gpu_type or "unknown GPU type"
            missed[name] = missed.get(name, 0.0) + hours
        yield from focus_rows(costs, days, account)


def _write(charges: Iterable[dict[str, Cell]], form: str, file: Path | None) -> None:
    if file is None:
        TEXTS[form](charges, sys.stdout)
        return
    with _replaced(file) as to:
        if form == "parquet":
            write_parquet(charges, to)
        else:
            text = TextIOWrapper(to, encoding="utf-8", errors="backslashreplace", newline="")
            TEXTS[form](charges, text)
            text.flush()
            text.detach()


@contextmanager
def _replaced(file: Path) -> Iterator[BinaryIO]:
    """Write beside the file and replace it at the end: an export that fails leaves the earlier file."""
    part = file.with_name(f".{file.name}.part")
    try:
        with part.open("wb") as to:
            yield to
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def _explain(histories: list[SqlCostHistory], window: Days, missed: dict[str, float]) -> None:
    """Say on stderr what is not in the file."""
    known = {day.day_s for one in histories for day in one.days(window.start_s, window.end_s)}
    if len(known) < window.length:
        say(f"the history has {len(known)} of the {window.length} days of {window.name}", to=err)
    if missed:
        types = ", ".join(f"{hours:,.1f} of {name}" for name, hours in sorted(missed.items()))
        total = f"{sum(missed.values()):,.1f} GPU-h have no price and are not in the file: {types}"
        say(f"{total}; give prices (docs/prices.md)", to=err)
