"""Run failovers: `python -m tests.failovers [COUNT]`; prints how long each took, and ends with 1 after a violation."""

import sys
import tempfile
from pathlib import Path

from tests.failovers.failover import failover

P99_GOAL_S = 30.0


def run(count: int) -> int:
    """Run failovers; return the exit code."""
    results = []
    for number in range(count):
        with tempfile.TemporaryDirectory() as folder:
            results.append(failover(Path(folder), number))
        print(f"failover {number}: resumed after {results[-1].resumed_s:.1f} s", *results[-1].violations, sep="; ")
    resumed = sorted(one.resumed_s for one in results)
    p99_s = resumed[min(len(resumed) - 1, int(0.99 * len(resumed)))]
    violations = sum(len(one.violations) for one in results)
    print(
        f"{count} failovers, {violations} violations, resume p50 {resumed[len(resumed) // 2]:.1f} s, p99 {p99_s:.1f} s"
    )
    return int(violations > 0 or p99_s >= P99_GOAL_S)


if __name__ == "__main__":
    sys.exit(run(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
