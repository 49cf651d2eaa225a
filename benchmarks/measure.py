"""How benchmarks measure: the size they run at, rounds in turn, goals, and remarks that belong beside the figures."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

SCALE_VARIABLE = "GPUWISE_BENCH_SCALE"
SCALE = float(os.environ.get(SCALE_VARIABLE, "1"))
"""Share of the full size; 1 unless `--scale` asks for a trial run, whose figures are marked as such."""

REMARKS: list[str] = []


@dataclass(frozen=True, slots=True)
class Goal:
    """What a figure is held against.

    Attributes:
        limit: the number.
        least: the figure is to be at least that; else at most.
    """

    limit: float
    least: bool

    def met(self, figure: float) -> bool:
        """Whether the figure is good enough; NaN never is."""
        return figure >= self.limit if self.least else figure <= self.limit

    def __str__(self) -> str:
        return f"{'>=' if self.least else '<='} {self.limit:g}"


def at_most(limit: float) -> Goal:
    """The smaller the better."""
    return Goal(limit, least=False)


def at_least(limit: float) -> Goal:
    """The larger the better."""
    return Goal(limit, least=True)


def scaled(full: int, *, least: int = 1, multiple: int = 1) -> int:
    """The full size times SCALE, rounded to a multiple, at least so much."""
    return max(least, round(full * SCALE / multiple) * multiple)


def remark(text: str) -> None:
    """Keep what a reader of the figures should know, and show it at once."""
    REMARKS.append(text)
    print(text, file=sys.stderr, flush=True)


def best_in_turn(contenders: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The least seconds of each contender; they take turns, so that what slows the machine down slows all.

    The least, not the median: other processes only ever add time.
    """
    best = dict.fromkeys(contenders, float("inf"))
    for _ in range(rounds):
        for name, run in contenders.items():
            best[name] = min(best[name], seconds(run))
    return best


def seconds(run: Callable[[], object]) -> float:
    """How long it takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def in_a_process_of_its_own(module: str, *arguments: object) -> dict[str, float]:
    """Run a module and read the JSON object that it prints last: its memory is its own, and its libraries are fresh."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found
