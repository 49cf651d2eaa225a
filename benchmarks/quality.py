"""Writes benchmarks/QUALITY.md and a picture per row from files of `gpuwise backtest all --save` and of careful."""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.bars import Bar, bars
from benchmarks.results import circumstances

HERE = Path(__file__).parent
OURS = "gpuwise"

_HEAD = """# Quality of decisions

Written by `make quality`: each policy and its baselines, replayed on public traces, and all of gpuwise on the demo's
simulated fleet ("careful"). docs/backtests.md explains the figures and the policies. An interval covers 90 % of
bootstrap draws over the trace's units (endpoints, windows, pods, jobs, workloads); a figure without an interval has
only one unit. `bound` is a bound that no policy can beat. The policies with "held-out" in their names were fitted
without the data on which they are judged.
"""


def write(found: Mapping[str, Any], folder: Path) -> None:
    """Rewrite QUALITY.md and quality/*.svg.

    Args:
        found: the JSON object that `gpuwise backtest all` saves, or several of them in one.
        folder: the folder of the page.
    """
    lines = [_HEAD, *(f"- {key}: {value}" for key, value in circumstances().items())]  # first: the tree is still clean
    pictures = folder / "quality"
    pictures.mkdir(exist_ok=True)
    for old in pictures.glob("*.svg"):
        old.unlink()
    for kind in found["backtests"]:
        lines += ["", f"## {kind['backtest']}", "", kind["about"], "", *_goals(kind["goals"])]
        for result in kind["results"]:
            lines += ["", *_row(result, pictures, higher=kind["higher_is_better"])]
    (folder / "QUALITY.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _goals(goals: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = [
        f"| {one['goal']} | {one['value']:.4g} | {'reached' if one['met'] else '**not reached**'} |" for one in goals
    ]
    return ["| goal | value | |", "|---|---:|---|", *rows]


def _row(result: Mapping[str, Any], pictures: Path, *, higher: bool) -> list[str]:
    title = result["label"] or result["backtest"]
    names = list(dict.fromkeys(name for one in result["policies"].values() for name in one["figures"]))
    shown = [
        f"| {'**' + policy + '**' if policy == OURS else policy} | "
        + " | ".join(_cell(played["figures"].get(name)) for name in names)
        + f" | {played['seconds']:.2f} |"
        for policy, played in result["policies"].items()
    ]
    if result["bound"]:
        shown.append(f"| bound | {' | '.join(_number(result['bound'].get(name)) for name in names)} | |")
    picture = _picture(result, names[0], pictures, higher=higher)
    head = [f"### {title}", "", f"![{names[0]} by policy](quality/{picture})", ""]
    return [*head, f"| policy | {' | '.join(names)} | seconds |", f"|---|{'---:|' * (len(names) + 1)}", *shown]


def _cell(figure: Mapping[str, float | None] | None) -> str:
    if figure is None:
        return ""
    low, high = figure["low"], figure["high"]
    return _number(figure["value"]) + ("" if low is None else f" ({_number(low)} to {_number(high)})")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.4g}"


def _picture(result: Mapping[str, Any], figure: str, pictures: Path, *, higher: bool) -> str:
    drawn = []
    for policy, played in result["policies"].items():
        one = played["figures"].get(figure)
        if one is not None and one["value"] is not None:
            drawn.append(Bar(policy, one["value"], one["low"], one["high"], ours=policy == OURS))
    better = "higher is better" if higher else "lower is better"
    label = f", {result['label']}" if result["label"] else ""
    caption = f"{result['backtest']}{label}: {figure}, {better}"
    name = re.sub(r"[^a-z0-9]+", "-", f"{result['backtest']} {result['label']}".lower()).strip("-") + ".svg"
    (pictures / name).write_text(bars(caption, drawn, bound=result["bound"].get(figure)), encoding="utf-8")
    return name


if __name__ == "__main__":
    saved = [json.loads(Path(name).read_text(encoding="utf-8")) for name in sys.argv[1:]]
    write({"backtests": [one for file in saved for one in file["backtests"]]}, HERE)
