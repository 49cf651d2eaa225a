"""The nouns as JSON and back; the one place that knows how."""

from typing import Any, TypeVar

from pydantic import TypeAdapter

T = TypeVar("T")

_ADAPTERS: dict[Any, TypeAdapter[Any]] = {}


def _adapter(noun: Any) -> TypeAdapter[Any]:
    if noun not in _ADAPTERS:
        _ADAPTERS[noun] = TypeAdapter(noun)
    return _ADAPTERS[noun]


def to_json(value: Any, *, indent: int | None = None) -> str:
    """Write a noun, or a tuple of them, as JSON; None becomes null, never 0."""
    return _adapter(type(value)).dump_json(value, indent=indent, by_alias=True).decode()


def to_plain(value: Any) -> Any:
    """A noun as dicts, lists and scalars that JSON and YAML can take."""
    return _adapter(type(value)).dump_python(value, mode="json", by_alias=True)


def from_json(noun: type[T], text: str | bytes) -> T:
    """Read a noun back.

    Raises:
        pydantic.ValidationError: the text is not such a noun.
    """
    value: T = _adapter(noun).validate_json(text)
    return value
