"""The only place where the model's types are converted to JSON and back."""

from collections.abc import Collection
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")

_ADAPTERS: dict[Any, TypeAdapter[Any]] = {}


def _adapter(model_type: Any) -> TypeAdapter[Any]:
    if model_type not in _ADAPTERS:
        _ADAPTERS[model_type] = TypeAdapter(model_type)
    return _ADAPTERS[model_type]


def to_json(value: Any, *, indent: int | None = None, without: Collection[str] = ()) -> str:
    """Convert an object of the model, or a tuple of them, to JSON; None becomes null, never 0.

    Args:
        value: the object.
        indent: spaces per level; None writes one line.
        without: names of fields to leave out.
    """
    exclude = set(without) or None  # an empty set doubles the time
    return _adapter(type(value)).serializer.to_json(value, indent=indent, by_alias=True, exclude=exclude).decode()


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


def problem_of(error: ValueError) -> str:
    """The first problem that `from_json` found, with the dotted name of its field: "bill.idle_usd: Field required".

    Args:
        error: as it was raised.
    """
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))


def pairs(value: Any) -> Any:
    """Convert Name=value,Name=value from the environment to a mapping; other types are returned unchanged."""
    if not isinstance(value, str):
        return value
    pairs = [pair.strip().partition("=") for pair in value.split(",")]
    if not all(equals for _, equals, _ in pairs):
        raise ValueError("it is not in the form Name=value,Name=value")
    return {name: of for name, _, of in pairs}
