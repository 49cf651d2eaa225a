"""Replays the recorded exchanges with a real API server against the emulator, and says which answers are equal.

    python -m tests.kubernetes.wire            # prints the table
    python -m tests.kubernetes.wire --docs     # writes it into docs/conformance.md
    python -m tests.kubernetes.wire --keep     # adds what is equal to wire_equal.txt; nothing is taken away
    python -m tests.kubernetes.wire --only hpa --show 3

The recordings and compare.py, which knows how to replay one, lie in the folder of public traces under kubernetes_wire;
their SOURCE.md says how they were made. Each scenario has an emulator of its own, as it wants a cluster of its own.
"""

import argparse
import importlib.util
import re
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from gpuwise.emulate import ADMIN_TOKEN, NOBODY_TOKEN, READER_TOKEN, KubernetesEmulator

HERE = Path(__file__).parent
FOLDER = HERE.parents[2] / "shared/data/kubernetes_wire"
KEPT = HERE / "wire_equal.txt"
DOCS = HERE.parents[1] / "docs/conformance.md"
HEADING = "## Replayed wire scenarios"
NOT_EMULATED = 501
TOKENS = {"admin": ADMIN_TOKEN, "reader": READER_TOKEN, "nobody": NOBODY_TOKEN}

PATIENCE_S = 6.0
"""The longest wait for a condition; the sleeps of `expired` are cut to it, and its emulator compacts as often."""

COMPACTION_S = 2.0

Differences = list[tuple[str, Any, Any]]


@dataclass(frozen=True)
class Replayed:
    """What one scenario came to: the differences of each exchange, by its id."""

    name: str
    exchanges: dict[str, Differences]
    setup: list[tuple[str, int, int]]

    @property
    def equal(self) -> list[str]:
        return [key for key, found in self.exchanges.items() if not found]

    @property
    def not_emulated(self) -> list[str]:
        return [key for key in self.exchanges if self.status(key) == NOT_EMULATED]

    @property
    def other_status(self) -> list[str]:
        return [key for key in self.exchanges if self.status(key) not in (None, NOT_EMULATED)]

    def status(self, exchange: str) -> int | None:
        """The status that was answered instead of the recorded one, None for that."""
        return next((got for spot, _, got in self.exchanges[exchange] if spot == "status"), None)


def compare_module(folder: Path) -> ModuleType:
    """compare.py of the recordings."""
    spec = importlib.util.spec_from_file_location("compare_of_wire", folder / "compare.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def replay(folder: Path, names: Iterable[str] = ()) -> list[Replayed]:
    """Replay scenarios, all of them without names, a few at a time: most of it is waiting."""
    compare, wanted = compare_module(folder), tuple(names)
    files = [path for path in sorted(folder.glob("*.json.gz")) if not wanted or _name(path) in wanted]

    def one(path: Path) -> Replayed:
        name = _name(path)
        compaction_s = COMPACTION_S if name == "expired" else None
        with KubernetesEmulator(custom_resources=(), compaction_s=compaction_s) as emulator:
            client = compare.Client(emulator.url, TOKENS)
            results, setup = compare.replay(compare.load(path), client, PATIENCE_S)
        return Replayed(name, dict(results), setup)

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(one, files))


def _name(path: Path) -> str:
    return path.name.removesuffix(".json.gz")


def kept() -> list[str]:
    """SCENARIO/EXCHANGE of each answer that must be equal."""
    return KEPT.read_text().split() if KEPT.exists() else []


def table(found: list[Replayed]) -> str:
    """The table of docs/conformance.md."""
    rows = ["| Scenario | Exchanges | Equal | 501 | Different |", "|---|---:|---:|---:|---:|"]
    sums = [0, 0, 0]
    for one in found:
        counts = len(one.exchanges), len(one.equal), len(one.not_emulated)
        sums = [total + count for total, count in zip(sums, counts, strict=True)]
        rows.append(_row(one.name, *counts))
    return "\n".join([*rows, _row("all", *sums)])


def _row(name: str, exchanges: int, equal: int, absent: int) -> str:
    return f"| {name} | {exchanges} | {equal} | {absent} | {exchanges - equal - absent} |"


def section(found: list[Replayed]) -> str:
    """The section of docs/conformance.md."""
    return f"""{HEADING}

Answers of a real API server (Kubernetes 1.36.2), replayed against the emulator that the tests use. "Equal" is the whole
answer: status, headers and body. "501" is a request that the emulator refuses with "not emulated: ...". In no other
exchange does the status differ. What is equal is listed in tests/kubernetes/wire_equal.txt, and a test keeps it so.
Written by `python -m tests.kubernetes.wire --docs`.

{table(found)}
"""


def write_docs(found: list[Replayed]) -> None:
    """Put the section into docs/conformance.md in place of the old one."""
    text = DOCS.read_text() if DOCS.exists() else "# Conformance\n"
    pattern = re.compile(re.escape(HEADING) + r"\n.*?(?=\n## |\Z)", re.DOTALL)
    new = section(found).rstrip()
    old = pattern.search(text)
    text = text[: old.start()] + new + text[old.end() :] if old else f"{text.rstrip()}\n\n{new}"
    DOCS.write_text(text.rstrip() + "\n")


def main() -> int:
    """Replay, print, and write what was asked for."""
    asked = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    asked.add_argument("--folder", type=Path, default=FOLDER)
    asked.add_argument("--only", action="append", default=[], help="a scenario's name")
    asked.add_argument("--show", type=int, default=0, help="print so many differences of each exchange")
    asked.add_argument("--docs", action="store_true", help="write the table into docs/conformance.md")
    asked.add_argument("--keep", action="store_true", help="add what is equal to wire_equal.txt")
    given = asked.parse_args()
    found = replay(given.folder, given.only)
    print(table(found))  # noqa: T201
    for one in found:
        for key, differences in one.exchanges.items():
            for spot, want, got in differences[: given.show]:
                print(f"{one.name}/{key}: {spot}: expected {str(want)[:200]}, got {str(got)[:200]}")  # noqa: T201
    if given.docs:
        write_docs(found)
    if given.keep:
        equal = {f"{one.name}/{key}" for one in found for key in one.equal}
        KEPT.write_text("".join(f"{key}\n" for key in sorted(equal | set(kept()))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
