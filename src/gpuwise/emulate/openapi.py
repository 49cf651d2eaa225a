"""The schema of a custom resource: defaults, pruning and validation, with the messages of apiextensions-apiserver."""

from collections.abc import Iterator
from typing import Any

from gpuwise.emulate.causes import Cause, required, too_long, unsupported, wrong
from gpuwise.emulate.status import Object

_PRESERVE = "x-kubernetes-preserve-unknown-fields"
_ROOT = frozenset({"apiVersion", "kind", "metadata"})


def schema_of(definition: Any) -> Object | None:
    """The schema of a version in a CustomResourceDefinition, None if it accepts anything."""
    found: Object | None = (definition.get("schema") or {}).get("openAPIV3Schema")
    return found


def prune(schema: Object, value: Object) -> tuple[Object, list[str]]:
    """The object without the fields that its schema does not have, and their paths."""
    unknown: list[str] = []
    head = {key: item for key, item in value.items() if key in _ROOT}
    rest = {key: item for key, item in value.items() if key not in _ROOT}
    return head | _pruned(schema, rest, "", unknown), unknown


def _pruned(schema: Object, value: Any, path: str, unknown: list[str]) -> Any:
    if isinstance(value, list) and isinstance(schema.get("items"), dict):
        return [_pruned(schema["items"], item, f"{path}[{at}]", unknown) for at, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    properties, extra = schema.get("properties") or {}, schema.get("additionalProperties")
    keeps = bool(schema.get(_PRESERVE)) or extra is True
    found = {}
    for key, item in value.items():
        spot = f"{path}.{key}" if path else key
        if key in properties:
            found[key] = _pruned(properties[key], item, spot, unknown)
        elif isinstance(extra, dict):
            found[key] = _pruned(extra, item, spot, unknown)
        elif keeps:
            found[key] = item
        else:
            unknown.append(spot)
    return found


def fill(schema: Object, value: Any) -> Any:
    """The value with the defaults of its schema."""
    if isinstance(value, list) and isinstance(schema.get("items"), dict):
        return [fill(schema["items"], item) for item in value]
    if not isinstance(value, dict):
        return value
    found = dict(value)
    for key, inner in (schema.get("properties") or {}).items():
        if key not in found and "default" in inner:
            found[key] = inner["default"]
        if key in found:
            found[key] = fill(inner, found[key])
    return found


def check(schema: Object, value: Object) -> list[Cause]:
    """Where an object does not match its schema."""
    return [
        cause
        for key, inner in (schema.get("properties") or {}).items()
        if key in value
        for cause in _check(inner, value[key], key)
    ]


def _check(schema: Object, value: Any, path: str) -> Iterator[Cause]:
    wanted = schema.get("type")
    have = _type(value)
    if value is None and schema.get("nullable"):
        return
    if wanted and have != wanted and not (wanted == "number" and have == "integer"):
        why = f'{path} in body must be of type {wanted}: "{have}"'
        yield Cause(path, "FieldValueTypeInvalid", f'Invalid value: "{have}": {why}')
        if (wanted, have) == ("integer", "number"):
            text = f"Checked value must be of type integer (default format) in {path}"
            yield Cause("<nil>", "FieldValueInvalid", f'Invalid value: "": {text}')
        return
    if isinstance(value, dict):
        yield from _object(schema, value, path)
    elif isinstance(value, list):
        yield from _list(schema, value, path)
    elif isinstance(value, str):
        if len(value) > schema.get("maxLength", len(value)):
            yield too_long(path, schema["maxLength"])
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield from _number(schema, value, path)
    if "enum" in schema and value not in schema["enum"]:
        yield unsupported(path, value, map(str, schema["enum"]))


def _object(schema: Object, value: Object, path: str) -> Iterator[Cause]:
    for key in schema.get("required") or []:
        if key not in value:
            yield required(f"{path}.{key}")
    for key, inner in (schema.get("properties") or {}).items():
        if key in value:
            yield from _check(inner, value[key], f"{path}.{key}")


def _list(schema: Object, value: list[Any], path: str) -> Iterator[Cause]:
    if len(value) > schema.get("maxItems", len(value)):
        yield Cause(path, "FieldValueTooMany", f"Too many: {len(value)}: must have at most {schema['maxItems']} items")
    if isinstance(schema.get("items"), dict):
        for at, item in enumerate(value):
            yield from _check(schema["items"], item, f"{path}[{at}]")


def _number(schema: Object, value: float, path: str) -> Iterator[Cause]:
    if value < schema.get("minimum", value):
        yield wrong(path, value, f"{path} in body should be greater than or equal to {schema['minimum']}")
    if value > schema.get("maximum", value):
        yield wrong(path, value, f"{path} in body should be less than or equal to {schema['maximum']}")


def _type(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    kinds = ((str, "string"), (int, "integer"), (float, "number"), (list, "array"), (dict, "object"))
    return next((name for kind, name in kinds if isinstance(value, kind)), "null")
