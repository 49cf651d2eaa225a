"""`gpuwise backtest`: play policies on recorded traces, and judge their decisions."""

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from gpuwise.backtest.catalogue import BACKTESTS
from gpuwise.backtest.contract import OURS, Backtest, Figure, Option, Result, Verdict
from gpuwise.backtest.every import Row as Judged
from gpuwise.backtest.every import play_every
from gpuwise.backtest.runner import SCHEMA, plain, play, write_decisions
from gpuwise.cli import show
from gpuwise.cli.console import behave, out, progress
from gpuwise.cli.help import SharedOption, command, group
from gpuwise.cli.listing import Column, Row, listing
from gpuwise.cli.paths import FILE
from gpuwise.config import ScheduleConfig
from gpuwise.model.codec import to_json
from gpuwise.model.errors import InputError
from gpuwise.wiring import workers

_FORM = click.option(
    "-o",
    "--output",
    "form",
    type=click.Choice(["table", "json"]),
    help="Default: table on a terminal, json elsewhere.",
)
_QUIET = click.option("-q", "--quiet", is_flag=True, cls=SharedOption, help="No progress on stderr.")
# On two busy cores the longest trial, spot over all windows, took 8 minutes, and all of them 16.
_TRIAL_TIMEOUT_S = 3_600.0
_ALL_TIMEOUT_S = 6 * 3_600.0


@group()
def backtest() -> None:
    """Play a policy and its baselines on a recorded trace. See docs/backtests.md for traces and figures."""


@backtest.command(
    name="all",
    short_help="Run every backtest on the public traces: our policy, the baselines, the bound, the goal.",
)
@click.option("--data", type=FILE, required=True, help="Folder of the public traces: docs/backtests.md.")
@click.option("--save", type=FILE, help="Also write the results as JSON to this file.")
@click.option("--executor", type=click.Choice(["local", "ray"]), default="local", help="Where the trials run.")
@click.option("--ray-address", help="Join this Ray cluster; implies --executor ray.")
@_FORM
@_QUIET
def every(
    data: Path, save: Path | None, executor: str, ray_address: str | None, form: str | None, *, quiet: bool
) -> None:
    """Run every backtest on the public traces: our policy, the baselines, the bound, the goal."""
    behave(quiet=quiet, no_color=False)
    if not data.is_dir():
        raise InputError(f"--data: {data} is not a folder", hint="name the folder of the public traces")
    schedule = ScheduleConfig(
        "ray" if executor == "ray" or ray_address else "local",
        ray_address,
        item_timeout_s=_TRIAL_TIMEOUT_S,
        timeout_s=_ALL_TIMEOUT_S,
    )
    with ExitStack() as stack, progress() as shown:
        rows = play_every(data, workers(schedule, stack), shown)
    found = to_json({"schema": SCHEMA, "backtests": [_plain(row) for row in rows]}, indent=2)
    if save is not None:
        _write(save, found)
    if _form(form) == "json":
        show.print_raw(found)
        return
    for row in rows:
        for result in row.results:
            show.put(_table(row.kind, result))
        for verdict in row.verdicts:
            _say(verdict)


def _plain(row: Judged) -> dict[str, Any]:
    goals = [{"goal": one.goal, "value": one.value, "met": one.met} for one in row.verdicts]
    return {
        "backtest": row.kind.name,
        "about": row.kind.about,
        "higher_is_better": row.kind.higher_is_better,
        "results": [plain(result) for result in row.results],
        "goals": goals,
    }


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"--save: {path} cannot be written: {error.strerror}", hint="name another file") from error


def _say(verdict: Verdict) -> None:
    word, style = ("reached", "green") if verdict.met else ("not reached", "red")
    out.print(Text.assemble((f"{word:<12}", style), f"{verdict.goal}: {verdict.value:.4g}"), soft_wrap=True)


def _table(kind: Backtest[Any], result: Result) -> Text:
    title = " - ".join(part for part in (kind.name, result.label) if part)
    names = list(dict.fromkeys(name for played in result.played.values() for name in played.figures))
    rows = [
        Row(
            f"{policy} (ours)" if policy == OURS else policy,
            (f"{played.seconds:.2f}", "; ".join(f"{name} {_cell(played.figures.get(name))}" for name in names)),
        )
        for policy, played in result.played.items()
    ]
    if result.bound:
        rows.append(Row("bound", ("", "; ".join(f"{name} {value:.4g}" for name, value in result.bound.items()))))
    return listing(title, (Column("seconds", right=True), Column("figures")), rows, width=out.width)


def _cell(figure: Figure | None) -> str:
    if figure is None:
        return "unknown"
    interval = "" if figure.low is None else f" ({figure.low:.4g} to {figure.high:.4g})"
    return f"{figure.value:.4g}{interval}"


def _form(given: str | None) -> str:
    return given or ("table" if sys.stdout.isatty() else "json")


def _command(kind: Backtest[Any]) -> click.Command:
    """Build the command of one backtest, with its options."""

    def run(policy: tuple[str, ...], decisions: Path | None, form: str | None, *, quiet: bool, **given: Any) -> None:
        behave(quiet=quiet, no_color=False)
        result = play(kind, given, policies=() if "all" in policy else policy)
        if decisions is not None:
            write_decisions(decisions, result)
        if _form(form) == "json":
            show.print_raw(to_json(plain(result), indent=2))
        else:
            show.put(_table(kind, result))

    policies = click.option(
        "--policy",
        multiple=True,
        default=(OURS,),
        show_default=True,
        help=f"One of {', '.join(kind.policies)}, or all; repeatable.",
    )
    decisions = click.option(
        "--decisions", type=FILE, help="Write the decisions (of several policies: ours) to this CSV."
    )
    made: Any = run
    for option in (*reversed([_option(one) for one in kind.options]), policies, decisions, _FORM, _QUIET)[::-1]:
        made = option(made)
    return command(name=kind.name, help=kind.about, short_help=kind.about)(made)


def _option(option: Option) -> Any:
    return click.option(
        option.flag,
        option.key,
        type=FILE if option.kind is Path else option.kind,
        default=option.default,
        show_default=option.default is not None,
        required=option.default is None and not option.optional,
        help=option.about,
    )


for _kind in BACKTESTS:
    backtest.add_command(_command(_kind))
