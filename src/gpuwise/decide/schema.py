"""The JSON schema of a policy file, with the descriptions from the docstrings of the settings."""

import ast
import inspect
import textwrap
from typing import Any

from pydantic import TypeAdapter

from gpuwise.decide.calendar import Freeze, MaintenanceWindow
from gpuwise.decide.settings import Approvals, DecideSettings, Rule, ScopeBudget
from gpuwise.model.command import Budget, Mode

NESTED: tuple[type, ...] = (Budget, ScopeBudget, MaintenanceWindow, Freeze, Approvals, Rule)
"""Classes of the values that have keys of their own."""


def policy_schema() -> dict[str, Any]:
    """Return the JSON schema of a policy file."""
    found = TypeAdapter(DecideSettings).json_schema()
    found["properties"]["mode"] = {"enum": [*Mode, False], "default": Mode.RECOMMEND.value}  # off is false in YAML 1.1
    found["$defs"].pop("Mode", None)
    _describe(found, DecideSettings)
    for kind in NESTED:
        _describe(found["$defs"][kind.__name__], kind)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **found,
        "title": "gpuwise policy",
    }


def attribute_docs(kind: type) -> dict[str, str]:
    """Return the docstring of each attribute of a class, by the attribute's name.

    Args:
        kind: a class whose source is available.
    """
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(body, ast.ClassDef)
    docs = {}
    for statement, following in zip(body.body, body.body[1:], strict=False):
        text = getattr(getattr(following, "value", None), "value", None)
        if isinstance(text, str) and isinstance(statement, ast.AnnAssign | ast.Assign):
            target = statement.target if isinstance(statement, ast.AnnAssign) else statement.targets[0]
            assert isinstance(target, ast.Name)
            docs[target.id] = " ".join(text.split())
    return docs


def _describe(schema: dict[str, Any], kind: type) -> None:
    docs = attribute_docs(kind)
    schema["description"] = (inspect.getdoc(kind) or "").splitlines()[0]
    for name, value in schema["properties"].items():
        value.pop("title", None)
        value["description"] = docs[name]
