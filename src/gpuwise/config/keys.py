"""The dotted keys of the configuration, their environment variables, and what a value of each may be."""

import dataclasses
import difflib
import types
import typing
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, Literal

from gpuwise.config.sections import Config
from gpuwise.decide.settings import DecideSettings

_PREFIX = "GPUWISE_"
POLICY = "policy."
"""Prefix of the keys of the section `policy`, which may be in a file of their own."""


def keys() -> Iterator[str]:
    """Yield all dotted keys."""
    yield from kinds()


def kinds(settings: type = Config, prefix: str = "") -> dict[str, Any]:
    """Return the type of the value of each dotted key."""
    found: dict[str, Any] = {}
    for name, kind in fields(settings).items():
        if dataclasses.is_dataclass(kind):
            found |= kinds(typing.cast("type", kind), f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = kind
    return found


def variable(key: str) -> str:
    """Return the environment variable of a dotted key."""
    return _PREFIX + key.upper().replace(".", "_")


def fields(settings: type) -> dict[str, Any]:
    """Return the types of the fields of a section by name."""
    return typing.get_type_hints(settings)


def form(key: str) -> str:
    """Say how a table of tables is written, for the hint of an error; "" for another key."""
    kind = kinds().get(key)
    inner = typing.get_args(kind)[-1] if typing.get_origin(kind) in (Mapping, dict) else None
    if not dataclasses.is_dataclass(inner):
        return ""
    names = ", ".join(f"{name}: VALUE" for name in fields(typing.cast("type", inner)))
    return f"; in the file: {key}: {{NAME: {{{names}}}}}"


def wanted(key: str) -> str:
    """Say what the value of a key may be, for the hint of an error."""
    kind: Any = Config
    for name in key.split("."):
        kind = fields(kind)[name]
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        kind = next(part for part in typing.get_args(kind) if part is not type(None))
    if typing.get_origin(kind) is Literal:
        return " or ".join(typing.get_args(kind))
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return " or ".join(kind)
    if typing.get_origin(kind) is tuple:
        return f"a list, in the file: {key}: [VALUE, ...]; in the environment JSON or YAML on one line"
    if typing.get_origin(kind) in (Mapping, dict):
        inner = typing.get_args(kind)[1]
        if dataclasses.is_dataclass(inner):
            return f"a table, in the file: {key}: {{NAME: {{KEY: VALUE}}}}; in the environment JSON or YAML on one line"
        many = typing.get_origin(inner) is tuple
        return f"names and values, in the file: {key}: {{NAME: {'[VALUE, VALUE]' if many else 'VALUE'}}}"
    return f"a value of type {getattr(kind, '__name__', str(kind))}"


def nearest(key: str, settings: type) -> str:
    """Say which known key an unknown one may mean, for the hint of an error.

    Args:
        key: as it is in the file.
        settings: what the file has: the whole configuration or a policy.
    """
    known = list(keys())
    if settings is DecideSettings:
        known += [one.removeprefix(POLICY) for one in known if one.startswith(POLICY)]
    close = difflib.get_close_matches(key, known, n=1)
    return f"did you mean {close[0]}?" if close else "`gpuwise config print` lists every key"
