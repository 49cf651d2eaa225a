"""Writes configuration.md, findings.md, reasons.md and safety.md in docs/ from the source; --check only compares."""

import ast
import dataclasses
import inspect
import re
import sys
import typing
from pathlib import Path
from typing import Any

import grimp

from gpuwise.backtest.catalogue import BACKTESTS
from gpuwise.config import Config, variable
from gpuwise.model.codec import to_plain
from gpuwise.model.findings import Finding
from gpuwise.model.reasons import EARLIER_CODES, Reason
from gpuwise.report import wording

HERE = Path(__file__).parent


def attribute_docs(kind: type) -> dict[str, str]:
    """The string under each attribute of a class, by the attribute's name."""
    (body,) = ast.parse(inspect.getsource(kind)).body
    assert isinstance(body, ast.ClassDef)
    found = {}
    for statement, following in zip(body.body, body.body[1:], strict=False):
        text = getattr(getattr(following, "value", None), "value", None)
        if isinstance(text, str) and isinstance(statement, ast.AnnAssign | ast.Assign):
            target = statement.target if isinstance(statement, ast.AnnAssign) else statement.targets[0]
            assert isinstance(target, ast.Name)
            found[target.id] = " ".join(text.split())
    return found


def rows(settings: Any, prefix: str = "") -> list[str]:
    """A table row per key."""
    docs, lines = attribute_docs(type(settings)), []
    for name in typing.get_type_hints(type(settings)):
        value = getattr(settings, name)
        if dataclasses.is_dataclass(value):
            lines += rows(value, f"{prefix}{name}.")
        else:
            default = "" if value is None else f"`{to_plain(value)}`"
            lines.append(f"| `{prefix}{name}` | `{variable(prefix + name)}` | {default} | {docs[name]} |")
    return lines


CONFIGURATION = """\
# Configuration

A flag beats an environment variable, which beats the file (`--config` or `GPUWISE_CONFIG`), which beats the default.
In the file the dots are nesting: `policy: {mode: approve}`. An unknown key is an error. `gpuwise config print` shows
what is in force.

| Key | Environment | Default | Meaning |
|---|---|---|---|
"""

FINDINGS = """\
# Findings

Each finding has one name in the output, in the code, in the backtests and in the tests: the name in snake case.

- **Method** decides from usage whether the finding applies, and what to do: `src/gpuwise/recommend/methods/`.
- **Engine** is the policy that the method calls: `src/gpuwise/recommend/engines/`. Without an engine the method decides
  by thresholds.
- **Research** is what a backtest plays and no method calls yet: `src/gpuwise/research/`.
- **Backtest** plays policies on public traces: `src/gpuwise/backtest/`, `gpuwise backtest NAME`.

| Finding | Meaning | Method and test | Engine | Research | Backtest |
|---|---|---|---|---|---|
"""

WITHOUT_FINDING = """
## Decisions that no finding uses yet

| Research | Backtest |
|---|---|
"""

REASONS = """\
# Reason codes

Every recommendation and every blocked change has a reason code. `gpuwise explain` shows it with the numbers behind it.
Where release 0.1 had another code, the last column has it: select by both while you upgrade.

| Code | Meaning | Release 0.1 |
|---|---|---|
"""


def configuration() -> str:
    """docs/configuration.md."""
    return CONFIGURATION + "\n".join(rows(Config())) + "\n"


def reasons() -> str:
    """docs/reasons.md."""
    docs = attribute_docs(Reason)
    earlier = {reason: f"`{code.value}`" for reason, code in EARLIER_CODES.items()}
    lines = [f"| `{one.value}` | {docs[one.name]} | {earlier.get(one, '')} |" for one in Reason]
    return REASONS + "\n".join(lines) + "\n"


def name_of(finding: Finding) -> str:
    """The name of a finding's modules: GPUOverprovisioned is in gpu_overprovisioned; Orphaned is Idle without owner."""
    named = Finding.IDLE if finding is Finding.ORPHANED else finding
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", named.value).lower()


def linked(folder: str, name: str, text: str = "") -> str:
    """A link to the module or package of that name, empty where there is none."""
    for path in (f"{folder}/{name}", f"{folder}/{name}.py"):
        if (HERE.parent / path).exists():
            return f"[`{text or name}`](../{path})"
    return ""


def backtest_names(name: str) -> str:
    """The backtests in the module or package of that name, as `gpuwise backtest` knows them."""
    home = f"gpuwise.backtest.{name}"
    found = [one.name for one in BACKTESTS if f"{one.load.__module__}.".startswith(f"{home}.")]
    return ", ".join(linked("src/gpuwise/backtest", name, one) for one in found)


def findings() -> str:
    """docs/findings.md."""
    lines = []
    for finding in Finding:
        name = name_of(finding)
        tested = f"{linked('src/gpuwise/recommend/methods', name)}, {linked('tests/recommend/methods', f'test_{name}')}"
        engine, research = linked("src/gpuwise/recommend/engines", name), linked("src/gpuwise/research", name)
        words = (f"`{finding.value}`", wording.finding(finding), tested, engine, research, backtest_names(name))
        lines.append(f"| {' | '.join(words)} |")
    alone = ("memory_limit", "placement")
    rows = [f"| {linked('src/gpuwise/research', name)} | {backtest_names(name)} |" for name in alone]
    return FINDINGS + "\n".join(lines) + "\n" + WITHOUT_FINDING + "\n".join(rows) + "\n"


SAFETY = """\
# Safety: what is promised, and the tests that hold it

This software changes production clusters. Each promise below is a test that a stranger can run by its name
(`.venv/bin/python -m pytest -k NAME`). A promise without a test is not kept yet, and the table says so.

| | Promise | Tests |
|---|---|---|
"""

INCIDENTS = """
## Failures of others, as regression tests

| Public report | Test |
|---|---|
"""

PROMISES = (
    "What is missing, NaN, stale, out of range, partial or unsupported never counts as idle.",
    "Stopping needs covered data and two independent sensors that agree.",
    "More activity, or less data, never makes a plan bolder.",
    "Nothing is done on a look at the fleet that is old or not whole.",
    "No window of time holds more disruptions than the budget, across restarts and processes.",
    "At most one leader's writes take effect.",
    "A leader stops writing before its lease runs out.",
    "A crash between intent and effect is settled at the next start, neither lost nor doubled.",
    "Every effect names the object's uid and version; a recreated namesake is not touched.",
    "Protections that appear between plan and effect hold.",
    "A protection or policy that cannot be read protects.",
    "Undo restores exactly, or refuses with the difference.",
    "An effect whose check fails, or cannot be made, is reverted in bounded time.",
    "No target swings to and fro.",
    "Attempts that fail in a row open the target's breaker.",
    "Wanting to change too much at once stops the run.",
    "What was scaled to zero wakes without gpuwise.",
    "The control plane and gpuwise itself are never targets.",
    "A dry run sends no mutating request and shows the same plan.",
    "An upgrade alone changes nothing.",
    "A MIG layout changes only on a GPU that is verified empty.",
    "Only work that bears it goes to spot.",
    "What another controller owns is never written to.",
    "Once faults stop, the state converges.",
    "The ledger is append-only and chained; tampering shows.",
    "A pause holds from the next decision on.",
    "What should report and does not counts as used.",
    "A series that may belong to another cluster is never booked here.",
    "Values of one frozen exporter are one silent sensor.",
    "A node is empty only by sensors that agree.",
    "An outcome that is not known stays open until the object was seen.",
    "No object, label or quantity of the cluster ends a run.",
)


def safety() -> str:
    """docs/safety.md."""
    text = "".join(path.read_text() for path in sorted((HERE.parent / "tests").rglob("test_*.py")))
    names = sorted(set(re.findall(r"def (test_\w+)", text)))
    lines = []
    for number, promise in enumerate(PROMISES, start=1):
        held = [f"`{name}`" for name in names if name.startswith(f"test_i{number}_")]
        lines.append(f"| I{number} | {promise} | {', '.join(held) or 'not yet'} |")
    found = [re.match(r"test_incident_(\w+?)_(\d+)_(\w+)", name) for name in names]
    reports = [f"| {m[1].replace('_', '-')}#{m[2]} | `{m[0]}` |" for m in found if m]
    return SAFETY + "\n".join(lines) + "\n" + INCIDENTS + "\n".join(reports) + "\n"


GRAPH_BEGIN, GRAPH_END = "```mermaid\n", "```\n"
# Every package imports the types; release 0.1's names only forward.
LEFT_OUT = frozenset({"model", "store"})


def packages_imported() -> dict[str, list[str]]:
    """For each package that imports others: which, without those in LEFT_OUT."""
    graph = grimp.build_graph("gpuwise", cache_dir=None)
    pairs: set[tuple[str, str]] = set()
    for module in graph.modules:
        for other in graph.find_modules_directly_imported_by(module):
            pairs.add((f"{module}.".split(".")[1], f"{other}.".split(".")[1]))
    kept = sorted((a, b) for a, b in pairs if a and b and a != b and not {a, b} & LEFT_OUT)
    return {a: [b for one, b in kept if one == a] for a in dict(kept)}


def architecture() -> str:
    """ARCHITECTURE.md, with its import graph as the code has it."""
    text = (HERE.parent / "ARCHITECTURE.md").read_text()
    before, _, rest = text.partition(GRAPH_BEGIN)
    _, _, after = rest.partition(GRAPH_END)
    edges = [f"  {name} --> {' & '.join(others)}\n" for name, others in packages_imported().items()]
    return before + GRAPH_BEGIN + "flowchart LR\n" + "".join(edges) + GRAPH_END + after


DOCUMENTS = {
    "../ARCHITECTURE.md": architecture,
    "configuration.md": configuration,
    "findings.md": findings,
    "reasons.md": reasons,
    "safety.md": safety,
}


def stale() -> list[str]:
    """Documents that do not say what the source says."""
    paths = {name: HERE / name for name in DOCUMENTS}
    return [name for name, path in paths.items() if not path.exists() or path.read_text() != DOCUMENTS[name]()]


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit("\n".join(f"docs/{name} is stale: python docs/generate.py" for name in stale()) or 0)
    for name in stale():
        (HERE / name).write_text(DOCUMENTS[name]())
