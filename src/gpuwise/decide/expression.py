"""Expressions in CEL, the language of Kubernetes' own admission policies."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any


class Unevaluable(Exception):
    """An expression has no truth value for these variables."""


def compiled(text: str) -> str:
    """Return an expression unchanged if it can be compiled.

    Args:
        text: the expression.

    Raises:
        ValueError: it is not valid CEL.
    """
    _program(text)
    return text


def holds(text: str, variables: Mapping[str, Any]) -> bool:
    """Whether an expression is true.

    Args:
        text: an expression that can be compiled.
        variables: plain values by name: text, numbers, truth values, None, lists and mappings of them.

    Raises:
        Unevaluable: it uses a value that is missing, or its result is not a truth value.
    """
    from celpy.adapter import json_to_cel  # noqa: PLC0415 - 0.3 s, only for policies with rules
    from celpy.celtypes import BoolType  # noqa: PLC0415 - as above
    from celpy.evaluation import CELEvalError  # noqa: PLC0415 - as above

    given = {name: json_to_cel(value) for name, value in variables.items()}
    try:
        found = _program(text).evaluate(given)
    except RecursionError as error:
        raise Unevaluable("it is nested too deeply") from error
    except CELEvalError as error:
        raise Unevaluable(_why(error.args)) from error
    if not isinstance(found, BoolType):
        kind = type(found).__name__.removesuffix("Type").lower()
        raise Unevaluable(f"its result is of type {kind}, which is neither true nor false")
    return bool(found)


def _why(arguments: tuple[Any, ...]) -> str:
    """The library's reason, with the value that it could not use, such as the name of a time zone."""
    # The library appends all variables and functions to an undeclared name.
    text = str(arguments[0]).partition(" (in activation")[0]
    kind, details = (*arguments, None, None)[1:3]
    return str(details[0]) if kind is ValueError and details else text


@lru_cache(maxsize=1024)
def _program(text: str) -> Any:
    from celpy.celparser import CELParseError  # noqa: PLC0415 - as above

    from gpuwise.decide.cel import environment  # noqa: PLC0415 - as above

    cel = environment()
    try:
        return cel.program(cel.compile(text))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except CELParseError as error:
        raise ValueError(f"it is not valid CEL: {' '.join(str(error.args[0]).split())}") from error
