"""CEL, using the package cel-python; features that it lacks or implements differently are not emulated.

cel-python (cloud-custodian, Apache-2.0, pure Python, released through 2026) is used instead of cel-expr-python
(Google's wrapper of cel-cpp, also Apache-2.0), which is a native wheel of 50 MB at version 0.1. It is needed only for
clusters with admission policies or device selectors, so it is a development dependency.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from gpuwise.emulate.quantity import quantity
from gpuwise.emulate.status import not_emulated

_EXPECTED = (
    "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}"
)


class Failed(ValueError):
    """The evaluation of an expression failed."""


@cache
def _celpy() -> Any:
    try:
        import celpy  # noqa: PLC0415  # slow to import
    except ImportError as error:
        raise not_emulated("CEL without the package cel-python") from error
    return celpy


@cache
def _environment() -> Any:
    return _celpy().Environment()


@cache
def _program(source: str) -> Any:
    functions = {"quantity": lambda text: text, "compareTo": _compare}
    environment = _environment()
    return environment.program(environment.compile(source), functions=functions)


def _compare(one: Any, other: Any) -> Any:
    left, right = quantity(str(one)), quantity(str(other))
    return _celpy().celtypes.IntType((left > right) - (left < right))


def syntax_problem(source: str) -> str | None:
    """The server's message for an expression with a syntax error, None if it parses."""
    try:
        _environment().compile(source)
    except _celpy().CELParseError as error:
        # The parser reports the last token it read; cel-go reports the position after the end of the text.
        if not source.strip() or source.rstrip()[-1] not in "><=!+-*/%&|?:.,([{":
            at = int(error.column or 1)
            return f"compilation failed: ERROR: <input>:1:{at}: Syntax error"
        lines = (
            f"ERROR: <input>:1:{len(source) + 1}: Syntax error: mismatched input '<EOF>' expecting {_EXPECTED}",
            f" | {source}",
            f" | {'.' * len(source)}^",
        )
        return "compilation failed: " + "\n".join(lines)
    return None


def evaluate(source: str, variables: Mapping[str, Any]) -> Any:
    """The value of an expression, as plain JSON.

    Raises:
        Failed: the evaluation failed.
        ApiFailure: 501, it needs something that is not emulated.
    """
    celpy = _celpy()
    missing: list[str] = []
    activation = {name: _tracked(value, missing) for name, value in variables.items()}
    try:
        found = _program(source).evaluate(activation)
    except celpy.CELParseError as error:
        raise not_emulated(f"the CEL expression {source}") from error
    except celpy.CELEvalError as error:
        text = str(error)
        if missing:
            raise Failed(f"no such key: {missing[-1]}") from error
        if "undeclared reference" in text or "unbound function" in text:
            raise not_emulated(f"what the CEL expression {source} uses") from error
        raise Failed(text) from error
    return _plain(found)


def evaluate_object(source: str, variables: Mapping[str, Any]) -> Any:
    """The value of an apply configuration: `Object{spec: Object.spec{replicas: 1}}`.

    Raises:
        ApiFailure: 501, it is not made of nested objects only.
    """
    if "?" in source or not source.lstrip().startswith("Object{"):
        raise not_emulated(f"the apply configuration {source}")
    # CEL itself has no object types: treat them as nested maps.
    maps = re.sub(r"Object[.\w]*\{", "{", source)
    return evaluate(re.sub(r"([{,]\s*)([A-Za-z_]\w*)\s*:", r'\1"\2":', maps), variables)


def _tracked(value: Any, missing: list[str]) -> Any:
    """A value for CEL whose maps record which absent keys were accessed."""
    types = _celpy().celtypes

    class Tracked(types.MapType):  # type: ignore[misc,name-defined]
        def get(self, key: Any, default: Any = None) -> Any:
            if key not in self:
                missing.append(str(key))
                raise KeyError(key)
            return super().get(key, default)

        def __getitem__(self, key: Any) -> Any:
            if key not in self:
                missing.append(str(key))
            return super().__getitem__(key)

    if isinstance(value, Mapping):
        return Tracked({types.StringType(key): _tracked(item, missing) for key, item in value.items()})
    if isinstance(value, list):
        return types.ListType([_tracked(item, missing) for item in value])
    return _celpy().json_to_cel(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if type(value).__name__ == "BoolType":
        return bool(value)
    if isinstance(value, int):
        return int(value)
    return str(value) if isinstance(value, str) else value
