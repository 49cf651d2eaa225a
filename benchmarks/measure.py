"""How benchmarks measure: the size of the run, alternating rounds, goals, and remarks on the figures."""

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

SCALE_VARIABLE = "GPUWISE_BENCH_SCALE"
SCALE = float(os.environ.get(SCALE_VARIABLE, "1"))
"""Share of the full size; 1 unless `--scale` sets a trial run, whose figures are marked as such."""

REMARKS: list[str] = []

_REFERENCE_S = 0.20
"""Seconds of `_mix` on the machine of RESULTS.md (AMD EPYC, 2 cores), the least CPU time of 50 on 2026-11-27."""


@dataclass(frozen=True, slots=True)
class Goal:
    """The limit of a figure.

    Attributes:
        limit: the number.
        least: whether the limit is a minimum; else it is a maximum.
    """

    limit: float
    least: bool

    def met(self, figure: float) -> bool:
        """Whether the figure reaches the goal; NaN never does."""
        return figure >= self.limit if self.least else figure <= self.limit

    def __str__(self) -> str:
        return f"{'>=' if self.least else '<='} {self.limit:g}"


def at_most(limit: float) -> Goal:
    """A goal with a maximum."""
    return Goal(limit, least=False)


def at_least(limit: float) -> Goal:
    """A goal with a minimum."""
    return Goal(limit, least=True)


def scaled(full: int, *, least: int = 1, multiple: int = 1) -> int:
    """The full size times SCALE, rounded to a multiple, but not below `least`."""
    return max(least, round(full * SCALE / multiple) * multiple)


def remark(text: str) -> None:
    """Record a remark for the reader of the figures, and print it."""
    REMARKS.append(text)
    print(text, file=sys.stderr, flush=True)


def best_in_turn(contenders: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The shortest time of each contender in seconds; they alternate, so that a slow phase of the machine affects all.

    The minimum is used instead of the median, because other processes only add time.
    """
    best = dict.fromkeys(contenders, float("inf"))
    for _ in range(rounds):
        for name, run in contenders.items():
            best[name] = min(best[name], seconds(run))
    return best


def seconds(run: Callable[[], object]) -> float:
    """The duration of a call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def machine_factor(rounds: int = 7) -> float:
    """How many times slower than the machine of RESULTS.md this one is now; seconds are divided by it.

    Args:
        rounds: how often the mix of work runs; the shortest time counts.
    """
    return min(seconds(_mix) for _ in range(rounds)) / _REFERENCE_S


def _mix() -> None:
    """Work of a fixed size, a third each in Python, numpy and SQLite."""
    import numpy as np

    counts: dict[int, int] = {}
    for number in range(400_000):
        counts[number * 7_919 % 10_007] = counts.get(number % 10_007, 0) + 1
    numbers = np.random.default_rng(0).random(600_000)
    for _ in range(2):
        np.sort(numbers).cumsum().searchsorted(numbers[:60_000])
    with sqlite3.connect(":memory:") as database:
        database.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)")
        database.executemany("INSERT INTO t VALUES (?, ?)", ((number, f"row {number}") for number in range(60_000)))
        database.execute("SELECT sum(length(b)), count(DISTINCT b) FROM t WHERE a % 3 = 0").fetchone()


def in_a_process_of_its_own(module: str, *arguments: object) -> dict[str, float]:
    """Run a module in a new process, with its own memory and fresh libraries, and read the last JSON that it prints."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found
