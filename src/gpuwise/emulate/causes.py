"""One error of a field, with the text of apimachinery's field.Error."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a field is invalid.

    Attributes:
        field: its path.
        reason: machine-readable: FieldValueInvalid and others.
        message: human-readable.
    """

    field: str
    reason: str
    message: str


def shown(value: Any) -> str:
    """A value as Go prints it in these messages."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def wrong(field: str, value: Any, why: str) -> Cause:
    """An invalid value."""
    return Cause(field, "FieldValueInvalid", f"Invalid value: {shown(value)}: {why}")


def required(field: str, why: str = "") -> Cause:
    """A missing value."""
    return Cause(field, "FieldValueRequired", f"Required value: {why}" if why else "Required value")


def unsupported(field: str, value: Any, choices: Iterable[str]) -> Cause:
    """A value that is not one of the supported ones."""
    listed = ", ".join(f'"{choice}"' for choice in choices)
    return Cause(field, "FieldValueNotSupported", f"Unsupported value: {shown(value)}: supported values: {listed}")


def forbidden(field: str, why: str) -> Cause:
    """A value that must not be set."""
    return Cause(field, "FieldValueForbidden", f"Forbidden: {why}")


def duplicate(field: str, value: Any, why: str = "") -> Cause:
    """A duplicate value."""
    return Cause(field, "FieldValueDuplicate", f"Duplicate value: {shown(value)}" + (f": {why}" if why else ""))


def too_long(field: str, most: int) -> Cause:
    """A text with too many bytes."""
    return Cause(field, "FieldValueTooLong", f"Too long: may not be more than {most} bytes")
