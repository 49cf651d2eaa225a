"""`gpuwise backtest`: play policies on recorded traces, and judge their decisions."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from gpuwise.backtest.catalogue import BACKTESTS
from gpuwise.backtest.contract import OURS, Backtest, Figure, Option, Result, Verdict
from gpuwise.backtest.runner import SCHEMA, plain, play, write_decisions
from gpuwise.cli import show
from gpuwise.cli.console import behave, out, progress
from gpuwise.cli.help import SharedOption, command, group
from gpuwise.cli.listing import Column, Row, listing
from gpuwise.cli.paths import FILE
from gpuwise.model.codec import to_json
from gpuwise.model.errors import InputError

_FORM = click.option(
    "-o",
    "--output",
    "form",
    type=click.Choice(["table", "json"]),
    help="Default: table on a terminal, json elsewhere.",
)
_QUIET = click.option("-q", "--quiet", is_flag=True, cls=SharedOption, help="No progress on stderr.")


@group()
def backtest() -> None:
    """Play a policy and its baselines on a recorded trace. See docs/backtests.md for traces and figures."""


@backtest.command(
    name="all",
    short_help="Run every backtest on the public traces: our policy, the baselines, the bound, the goal.",
)
@click.option("--data", type=FILE, required=True, help="Folder of the public traces: docs/backtests.md.")
@click.option("--save", type=FILE, help="Also write the results as JSON to this file.")
@_FORM
@_QUIET
def every(data: Path, save: Path | None, form: str | None, *, quiet: bool) -> None:
    """Run every backtest on the public traces: our policy, the baselines, the bound, the goal."""
    behave(quiet=quiet, no_color=False)
    if not data.is_dir():
        raise InputError(f"--data: {data} is not a folder", hint="name the folder of the public traces")
    rows: list[tuple[Backtest[Any], list[Result], Sequence[Verdict]]] = []
    with progress() as shown:
        for kind in BACKTESTS:
            trials, results = kind.trials(data), []
            for trial in trials:
                results.append(play(kind, trial.given, label=trial.label))
                shown(kind.name, len(results), len(trials))
            rows.append((kind, results, kind.goals(results)))
    found = to_json({"schema": SCHEMA, "backtests": [_plain(*row) for row in rows]}, indent=2)
    if save is not None:
        _write(save, found)
    if _form(form) == "json":
        show.print_raw(found)
        return
    for kind, results, verdicts in rows:
        for result in results:
            show.put(_table(kind, result))
        for verdict in verdicts:
            _say(verdict)


def _plain(kind: Backtest[Any], results: Sequence[Result], verdicts: Sequence[Verdict]) -> dict[str, Any]:
    goals = [{"goal": one.goal, "value": one.value, "met": one.met} for one in verdicts]
    return {
        "backtest": kind.name,
        "about": kind.about,
        "higher_is_better": kind.higher_is_better,
        "results": [plain(result) for result in results],
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
