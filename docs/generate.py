"""Writes docs/configuration.md and docs/reasons.md from the source; with --check it only compares."""

import ast
import dataclasses
import inspect
import sys
import typing
from pathlib import Path
from typing import Any

from gpuwise.config import Config, variable
from gpuwise.model.codec import to_plain
from gpuwise.model.recommendation import Reason

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

REASONS = """\
# Reason codes

Every recommendation and every refusal carries one; they do not change between releases. `gpuwise explain` shows them
with the numbers behind.

| Code | Meaning |
|---|---|
"""


def configuration() -> str:
    """docs/configuration.md."""
    return CONFIGURATION + "\n".join(rows(Config())) + "\n"


def reasons() -> str:
    """docs/reasons.md."""
    docs = attribute_docs(Reason)
    return REASONS + "\n".join(f"| `{reason.value}` | {docs[reason.name]} |" for reason in Reason) + "\n"


DOCUMENTS = {"configuration.md": configuration, "reasons.md": reasons}


def stale() -> list[str]:
    """Documents that do not say what the source says."""
    paths = {name: HERE / name for name in DOCUMENTS}
    return [name for name, path in paths.items() if not path.exists() or path.read_text() != DOCUMENTS[name]()]


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit("\n".join(f"docs/{name} is stale: python docs/generate.py" for name in stale()))
    for name in stale():
        (HERE / name).write_text(DOCUMENTS[name]())
