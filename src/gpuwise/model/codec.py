"""The only place where the model's types are converted to JSON and back."""

from typing import Any, TypeVar

from pydantic import TypeAdapter

T = TypeVar("T")

_ADAPTERS: dict[Any, TypeAdapter[Any]] = {}


def _adapter(model_type: Any) -> TypeAdapter[Any]:
    if model_type not in _ADAPTERS:
        _ADAPTERS[model_type] = TypeAdapter(model_type)
    return _ADAPTERS[model_type]


def to_json(value: Any, *, indent: int | None = None) -> str:
    """Convert an object of the model, or a tuple of them, to JSON; None becomes null, never 0."""
    return _adapter(type(value)).dump_json(value, indent=indent, by_alias=True).decode()


def to_plain(value: Any) -> Any:
    """Convert an object of the model to dicts, lists and scalars that JSON and YAML accept."""
    return _adapter(type(value)).dump_python(value, mode="json", by_alias=True)


def from_json(model_type: type[T], text: str | bytes) -> T:
    """Read an object of the model from JSON.

    Args:
        model_type: the type to read.
        text: the JSON.

    Raises:
        pydantic.ValidationError: the text does not describe an object of that type.
    """
    value: T = _adapter(model_type).validate_json(text)
    return value
