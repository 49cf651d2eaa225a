"""Failovers while a write hangs: `python -m tests.failovers --simulated 500 --real 50`; ends with 1 if one fails."""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.failovers.failover import failover
from tests.failovers.result import Result, passed, summary
from tests.failovers.simulated import simulated


def real(number: int) -> Result:
    """One failover of two processes, one of which is stopped by SIGSTOP."""
    with tempfile.TemporaryDirectory() as folder:
        found = failover(Path(folder), number)
    print(f"failover {number}: resumed after {found.resumed_s:.1f} s", *found.violations, sep="; ", flush=True)
    return found


def main(simulations: int, processes: int) -> int:
    """Run failovers on the virtual clock and on real processes; return the exit code."""
    runs = (("on the virtual clock", simulated, simulations), ("of real processes", real, processes))
    code = 0
    for what, run, count in runs:
        results = [run(number) for number in range(count)]
        for number, one in enumerate(results):
            if run is simulated and one.violations:
                print(f"simulated failover {number}", *one.violations, sep="; ")
        if results:
            print(summary(what, results), flush=True)
        code |= int(not passed(results))
    return code


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulated", type=int, default=500, help="number on the virtual clock")
    parser.add_argument("--real", type=int, default=5, help="number of real processes")
    asked = parser.parse_args()
    sys.exit(main(asked.simulated, asked.real))
