# ruff: noqa: T201  # it reports to a person
"""`make faults`: runs seeded schedules of faults on all cores, and prints what they hit and what they found."""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field

from tests.faults.lives import plans
from tests.faults.playing import Result
from tests.faults.points import Tally
from tests.faults.schedule import run

_CHUNK = 100
_EVERY_S = 10.0
_MOST_SHOWN = 3


@dataclass(slots=True)
class Summary:
    """What a number of schedules found.

    Attributes:
        schedules: how many were run.
        tally: failpoints that were passed and hit.
        failed: the schedules with violations.
        violations: number of violations.
    """

    schedules: int = 0
    tally: Tally = field(default_factory=Tally)
    failed: list[Result] = field(default_factory=list)
    violations: int = 0

    def add(self, other: "Summary") -> None:
        """Add another summary."""
        self.schedules += other.schedules
        self.tally.add(other.tally)
        self.failed = sorted([*self.failed, *other.failed], key=lambda one: one.seed)[:_MOST_SHOWN]
        self.violations += other.violations


def some(first: int, count: int) -> Summary:
    """Run the schedules of some seeds in this process."""
    found = Summary()
    for seed in range(first, first + count):
        result = run(seed)
        found.add(Summary(1, result.tally, [result] if result.violations else [], len(result.violations)))
    return found


def many(first: int, schedules: int, workers: int) -> Iterator[Summary]:
    """Run the schedules of some seeds in several processes; yield the sum after each chunk."""
    found = Summary()
    end = first + schedules
    with ProcessPoolExecutor(workers) as pool:
        chunks = range(first, end, _CHUNK)
        for done in as_completed([pool.submit(some, at, min(_CHUNK, end - at)) for at in chunks]):
            found.add(done.result())
            yield found


def shown(result: Result) -> str:
    """A failed schedule: the trace, what it violates, and how to run it again."""
    lines = [f"schedule {result.seed}", *result.trace, *(f"VIOLATION {text}" for text in result.violations)]
    return "\n".join([*lines, f"to run it again: make faults SEED={result.seed}"])


def report(found: Summary, seconds: float, first: int = 0) -> str:
    """The summary for a person."""
    points = len(found.tally.passed)
    hit = points - len(found.tally.missed)
    lines = [
        *(shown(one) + "\n" for one in found.failed),
        *(f"no crash at: {point}" for point in found.tally.missed if first == 0),
        f"schedules run         {found.schedules}, from seed {first}",
        f"crash points hit      {hit} of {points} enumerated",
        f"violations            {found.violations}",
        f"seconds               {seconds:.0f}",
    ]
    return "\n".join(lines)


def main() -> int:
    """Run what the command line asks for; exit status 1 for a violation or a failpoint without a crash."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schedules", type=int, default=2_000, help="number of seeds")
    parser.add_argument("--first", type=int, default=0, help="the first seed, to run a long search in parts")
    parser.add_argument("--seed", type=int, help="run one schedule and show its trace")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    asked = parser.parse_args()
    if asked.seed is not None:
        result = run(asked.seed)
        print(shown(result))
        print("no violation" if not result.violations else f"{len(result.violations)} violations")
        return 1 if result.violations else 0
    start = last = time.monotonic()
    found = Summary()
    for found in many(asked.first, asked.schedules, asked.workers):  # the last one is the result
        if time.monotonic() - last > _EVERY_S:
            last = time.monotonic()
            text = (
                f"{found.schedules} of {asked.schedules} schedules, {found.violations} violations, {last - start:.0f} s"
            )
            print(text, file=sys.stderr, flush=True)
    print(report(found, time.monotonic() - start, asked.first))
    all_points = asked.first == 0 and asked.schedules >= len(plans())  # the first seeds are one per crash point
    missed = found.tally.missed if all_points else []
    return 1 if found.violations or missed else 0


if __name__ == "__main__":
    sys.exit(main())
