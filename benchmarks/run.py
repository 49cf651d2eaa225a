"""Runs the benchmarks, each in a separate process, and shows their figures and goals.

A benchmark is a module of this folder with `figures() -> dict[str, float]`, a docstring that states what is measured
against what, and, if a figure has a goal, `GOALS: dict[str, Goal]`. Writes build/bench.json (figure to number, and
`bench_scale`), and with --results also their sections of benchmarks/RESULTS.md. Exits with 1 if a benchmark failed or
missed a goal.
"""

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.outcome import Outcome
from benchmarks.results import write_result
from rich.console import Console
from rich.table import Table

from benchmarks import measure

FOLDER = Path(__file__).parent

_LIMIT_S = 3_600


def main() -> int:
    options = _options()
    outcomes = []
    for number, name in enumerate(options.only, start=1):
        print(f"[{number}/{len(options.only)}] {name}", file=sys.stderr, flush=True)
        outcomes.append(_run(name, options.scale))
        if options.results:  # after each, so that a run that is stopped keeps what it measured
            write_result(FOLDER / "RESULTS.md", outcomes[-1], benchmarks())
    _show(outcomes, options.scale)
    _write_json(outcomes, options.scale, options.into)
    return _verdict(outcomes, options.scale)


def _options() -> argparse.Namespace:
    names = benchmarks()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", choices=names, help="run this one; may be given several times")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full size, for a trial run")
    parser.add_argument("--into", type=Path, default=Path("build"), help="folder for bench.json")
    parser.add_argument("--results", action="store_true", help="write their sections of benchmarks/RESULTS.md")
    options = parser.parse_args()
    if options.results and options.scale != 1.0:
        parser.error("--results is for the full size: leave --scale out")
    options.only = options.only or names
    return options


def benchmarks() -> list[str]:
    """The modules with a function `figures`."""
    return sorted(path.stem for path in FOLDER.glob("*.py") if "\ndef figures(" in path.read_text(encoding="utf-8"))


def _run(name: str, scale: float) -> Outcome:
    module = importlib.import_module(f"benchmarks.{name}")
    outcome = Outcome(name, module.__doc__ or "", goals=getattr(module, "GOALS", {}))
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        command = [sys.executable, "-c", _CHILD, name, str(answer)]
        environment = os.environ | {measure.SCALE_VARIABLE: str(scale)}
        start = time.perf_counter()
        try:
            code = subprocess.run(command, env=environment, timeout=_LIMIT_S, check=False).returncode
        except subprocess.TimeoutExpired:
            outcome.failure = f"took longer than {_LIMIT_S} s"
            return outcome
        if code:
            outcome.failure = f"ended with code {code}; its output is above"
            return outcome
        result = json.loads(answer.read_text(encoding="utf-8"))
    outcome.figures, outcome.remarks = result["figures"], result["remarks"]
    print(f"    {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    return outcome


# The figures are passed in a file, because a benchmark may print anything.
_CHILD = """
import importlib, json, pathlib, sys
from benchmarks import measure
found = importlib.import_module(f"benchmarks.{sys.argv[1]}").figures()
result = {"figures": {name: float(value) for name, value in found.items()}, "remarks": measure.REMARKS}
pathlib.Path(sys.argv[2]).write_text(json.dumps(result))
"""


def _show(outcomes: list[Outcome], scale: float) -> None:
    shown = Table(
        title="Benchmarks" if scale == 1.0 else f"Benchmarks at {scale:g} of the full size: a trial, no result"
    )
    for heading in ("benchmark", "figure"):
        shown.add_column(heading)
    for heading in ("value", "goal", ""):
        shown.add_column(heading, justify="right")
    for outcome in outcomes:
        for name, value in outcome.figures.items():
            goal = outcome.goals.get(name)
            shown.add_row(outcome.name, name, f"{value:,.4g}", str(goal or ""), outcome.verdict(name, scale))
        if outcome.failure:
            shown.add_row(outcome.name, "", "", "", "failed")
    Console(width=120).print(shown)


def _write_json(outcomes: list[Outcome], scale: float, folder: Path) -> None:
    flat = {name: value for outcome in outcomes for name, value in outcome.figures.items()}
    path = folder / "bench.json"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"bench_scale": scale, **flat}, indent=2) + "\n", encoding="utf-8")
    print(f"written: {path}", file=sys.stderr)


def _verdict(outcomes: list[Outcome], scale: float) -> int:
    failed = [f"{outcome.name} {outcome.failure}" for outcome in outcomes if outcome.failure]
    missed = [name for outcome in outcomes if not outcome.failure for name in outcome.missed] if scale == 1.0 else []
    for text in failed:
        print(f"failed: {text}", file=sys.stderr)
    if missed:
        print(f"goals missed: {', '.join(missed)}", file=sys.stderr)
    return 1 if failed or missed else 0


if __name__ == "__main__":
    sys.exit(main())
