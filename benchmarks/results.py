"""Writes benchmarks/RESULTS.md: the figures of one run, with its machine and commit."""

import importlib.metadata
import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.outcome import Outcome

_LIBRARIES = ("numpy", "scipy", "pyarrow", "ray")


def write_results(path: Path, outcomes: list[Outcome], scale: float) -> None:
    """Rewrite the page.

    Args:
        path: path of the page.
        outcomes: the results of the benchmarks.
        scale: share of the full size; a trial run is marked at the top.
    """
    lines = ["# Benchmark results", "", "Written by `make bench RESULTS=1`.", ""]
    if scale != 1.0:
        lines += [f"**A trial run at {scale:g} of the full size: these are not results.**", ""]
    lines += [f"- {key}: {value}" for key, value in circumstances().items()]
    for outcome in outcomes:
        lines += ["", f"## {outcome.name}", "", *_section(outcome, scale)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def circumstances() -> dict[str, str]:
    """The machine, the software and the commit of the figures."""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    libraries = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _LIBRARIES)
    return {
        "machine": f"{_processor()}, {os.cpu_count()} cores, {memory_gib:.0f} GiB, {platform.system()}",
        "software": f"Python {platform.python_version()}, {libraries}",
        "commit": _git("describe", "--always", "--dirty", "--abbrev=12"),
        "load when it ended": f"{os.getloadavg()[2]:.1f} over the last 15 minutes",
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    named = [line for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    return named[0].partition(":")[2].strip() if named else platform.processor() or platform.machine()


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout.strip()


def _section(outcome: Outcome, scale: float) -> list[str]:
    lines = [_prose(paragraph) + "\n" for paragraph in outcome.about.strip().split("\n\n")]
    if outcome.failure:
        return [*lines, f"**Failed:** it {outcome.failure}."]
    lines += ["| figure | value | goal | |", "|---|---:|---:|---|"]
    for name, value in outcome.figures.items():
        goal = outcome.goals.get(name) or ""
        lines.append(f"| {name} | {value:,.4g} | {goal} | {outcome.verdict(name, scale)} |")
    return lines + [f"\n- {text}" if not number else f"- {text}" for number, text in enumerate(outcome.remarks)]


def _prose(paragraph: str) -> str:
    """A paragraph in one line; names followed by two spaces (or a new line) and their meaning become a list."""
    if not re.match(r"\S+ {2,}", paragraph):
        return " ".join(paragraph.split())
    entries = [re.split(r" {2,}|\n +", entry, maxsplit=1) for entry in re.split(r"\n(?=\S)", paragraph)]
    return "\n".join("- " + ": ".join(" ".join(part.split()) for part in entry) for entry in entries)
