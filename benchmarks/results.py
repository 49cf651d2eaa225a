"""Writes benchmarks/RESULTS.md: the latest figures of each benchmark, with machine, commit and date."""

import importlib.metadata
import os
import platform
import re
import subprocess
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.outcome import Outcome

_TITLE = """# Benchmark results

Written by `make bench RESULTS=1`; a run of some benchmarks (`ONLY=sketch`) replaces their sections."""

_LIBRARIES = ("numpy", "scipy", "pyarrow", "ray")


def write_result(path: Path, outcome: Outcome, names: Collection[str]) -> None:
    """Write the section of one benchmark into the page; the sections of the others stay as they are.

    Args:
        path: path of the page; it is created if it does not exist.
        outcome: the result, of a run at full size.
        names: all benchmarks; sections of others are removed.
    """
    sections = {name: text for name, text in _sections(path).items() if name in names}
    sections[outcome.name] = "\n".join(_section(outcome)).strip()
    parts = [_TITLE, *(f"## {name}\n\n{sections[name]}" for name in sorted(sections))]
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _sections(path: Path) -> dict[str, str]:
    """The text of each benchmark on the page."""
    parts = path.read_text(encoding="utf-8").split("\n## ")[1:] if path.exists() else []
    return {name: text.strip() for name, _, text in (part.partition("\n") for part in parts)}


def circumstances() -> dict[str, str]:
    """The machine, the software and the commit of the figures."""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    libraries = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _LIBRARIES)
    return {
        "commit": _commit(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{_processor()}, {os.cpu_count()} cores, {memory_gib:.0f} GiB, {platform.system()}",
        "software": f"Python {platform.python_version()}, {libraries}",
        "load when it ended": f"{os.getloadavg()[2]:.1f} over the last 15 minutes",
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    named = [line for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    return named[0].partition(":")[2].strip() if named else platform.processor() or platform.machine()


def _commit() -> str:
    """The commit, "-dirty" if other files than the results have changed since."""
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ":/", ":!/benchmarks/RESULTS.md")
    return _git("describe", "--always", "--abbrev=12") + ("-dirty" if changed else "")


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout.strip()


def _section(outcome: Outcome) -> list[str]:
    lines = [_prose(paragraph) + "\n" for paragraph in outcome.about.strip().split("\n\n")]
    if outcome.failure:
        lines += [f"**Failed:** it {outcome.failure}."]
    else:
        lines += ["| figure | value | goal | |", "|---|---:|---:|---|"]
    for name, value in outcome.figures.items():
        goal = outcome.goals.get(name) or ""
        lines.append(f"| {name} | {value:,.4g} | {goal} | {outcome.verdict(name, 1.0)} |")
    measured = "; ".join(f"{key}: {value}" for key, value in circumstances().items())
    return [*lines, "", *(f"- {text}" for text in [*outcome.remarks, measured])]


def _prose(paragraph: str) -> str:
    """A paragraph in one line; names followed by two spaces (or a new line) and their meaning become a list."""
    if not re.match(r"\S+ {2,}", paragraph):
        return " ".join(paragraph.split())
    entries = [re.split(r" {2,}|\n +", entry, maxsplit=1) for entry in re.split(r"\n(?=\S)", paragraph)]
    return "\n".join("- " + ": ".join(" ".join(part.split()) for part in entry) for entry in entries)
