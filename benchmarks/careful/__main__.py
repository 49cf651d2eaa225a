"""Plays the trials and writes them as JSON for benchmarks/QUALITY.md: part of `make quality`."""

import json
import sys
from pathlib import Path

from benchmarks.careful.trials import found

if __name__ == "__main__":
    result = found(lambda line: print(line, flush=True))
    Path(sys.argv[1]).write_text(json.dumps({"backtests": [result]}, indent=2), encoding="utf-8")
    for goal in result["goals"]:
        print(f"{'reached' if goal['met'] else 'not reached':<12}{goal['goal']}: {goal['value']:.4g}")
