"""Converts a body to an object: checks it, decodes it with its schema, and converts it to the storage version."""

import json
from typing import Any

from gpuwise.emulate import openapi
from gpuwise.emulate.bodies import Body
from gpuwise.emulate.causes import wrong
from gpuwise.emulate.registry import Registry
from gpuwise.emulate.resources import CORE_EVENTS, EVENTS, Resource
from gpuwise.emulate.schema import WrongType, decode
from gpuwise.emulate.status import ApiFailure, Object, invalid
from gpuwise.emulate.views import stored_form

_SCHEME = "pkg/api/legacyscheme/scheme.go:30"


def read_object(registry: Registry, resource: Resource, body: Body, *, validation: str, warnings: list[str]) -> Object:
    """The object of a create or update.

    Args:
        registry: the registered resources.
        resource: the expected resource.
        body: the parsed body.
        validation: of unknown fields: "Ignore", "Strict" or "Warn".
        warnings: list for warnings about dropped fields.

    Raises:
        ApiFailure: 400.
    """
    value = body.value
    check_kind(registry, resource, value)
    named = {"kind": resource.kind, "apiVersion": resource.api_version}
    try:
        found, unknown = decode_as(resource, value | named)
    except WrongType as error:
        raise _unreadable(resource, str(error)) from error
    problems = [f'duplicate field "{path}"' for path in body.twice] + [f'unknown field "{path}"' for path in unknown]
    if problems and validation == "Strict":
        raise _unreadable(resource, f"strict decoding error: {', '.join(problems)}")
    if validation == "Warn":
        warnings += problems
    return stored_form(resource, found)


def read_patched(resource: Resource, old: Object, patched: Object, *, validation: str, warnings: list[str]) -> Object:
    """The object that results from a patch, in its stored form.

    Raises:
        ApiFailure: 422.
    """
    try:
        named = {"kind": resource.kind, "apiVersion": resource.api_version}
        found, unknown = decode_as(resource, named | patched)
        kind, version = patched.get("kind") or resource.kind, patched.get("apiVersion") or resource.api_version
        _check_decoded(resource, kind, version, unknown if validation == "Strict" else [])
    except WrongType as error:
        raise invalid("", "", "", [wrong("patch", patched_text(old, patched), str(error))]) from error
    if validation == "Warn":
        warnings += [f'unknown field "{path}"' for path in unknown]
    return stored_form(resource, found)


def decode_as(resource: Resource, value: Object) -> tuple[Object, list[str]]:
    """Decode an object with its kind's schema; returns it and the paths of unknown fields.

    Raises:
        WrongType: a field has a value of another type.
    """
    if resource.builtin:
        schema = "core.v1.Event" if resource is CORE_EVENTS else resource.schema
        found, unknown = decode(schema, value)
        return _filled_event(found) if resource is EVENTS else found, unknown
    metadata, unknown = decode("meta.v1.ObjectMeta", _map(value.get("metadata")))
    rest = value | {"metadata": metadata}
    schema_of = openapi.schema_of(resource.definition)
    if schema_of is None:
        return rest, [f"metadata.{path}" for path in unknown]
    pruned, more = openapi.prune(schema_of, openapi.fill(schema_of, rest))
    return pruned, [*(f"metadata.{path}" for path in unknown), *more]


def _check_decoded(resource: Resource, kind: str, version: str, unknown: list[str]) -> None:
    if (kind, version) != (resource.kind, resource.api_version):
        raise WrongType(f'no kind "{kind}" is registered for version "{version}" in scheme "{_SCHEME}"')
    if unknown:
        problems = ", ".join(f'unknown field "{path}"' for path in unknown)
        raise WrongType(f"strict decoding error: {problems}")


def _filled_event(item: Object) -> Object:
    empty: Object = {"deprecatedSource": {}, "deprecatedFirstTimestamp": None, "deprecatedLastTimestamp": None}
    empty["eventTime"] = None
    return empty | item


def _map(value: Any) -> Object:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise WrongType(f"json: cannot unmarshal {type(value).__name__} into Go value of type v1.ObjectMeta")
    return value


def patched_text(old: Object, patched: Any) -> str:
    """The patched object as Go writes it: maps that the patch changed have sorted keys."""

    def ordered(before: Any, after: Any) -> Any:
        if not isinstance(after, dict) or before == after:
            return after
        inner = before if isinstance(before, dict) else {}
        return {key: ordered(inner.get(key), value) for key, value in sorted(after.items())}

    return json.dumps(ordered(old, patched), separators=(",", ":"), ensure_ascii=False)


def check_kind(registry: Registry, resource: Resource, value: Object) -> None:
    """Check that a body has the kind of its path; absent fields are taken from the path.

    Raises:
        ApiFailure: 400.
    """
    kind, version = value.get("kind") or resource.kind, value.get("apiVersion") or resource.api_version
    if (kind, version) == (resource.kind, resource.api_version):
        return
    if not resource.builtin:
        field, have, want = ("API version", version, resource.api_version)
        if version == resource.api_version:
            field, have, want = ("kind", kind, resource.kind)
        raise ApiFailure(400, f"the {field} in the data ({have}) does not match the expected {field} ({want})")
    other = registry.of_kind(version, kind)
    short = version.rpartition("/")[2]
    prefix = f'{kind} in version "{short}" cannot be handled as a {resource.kind}: '
    if other is None:
        raise ApiFailure(400, f'{prefix}no kind "{kind}" is registered for version "{version}" in scheme "{_SCHEME}"')
    internal = f"{resource.group.partition('.')[0] or 'core'}.{resource.kind}"
    raise ApiFailure(400, f"{prefix}converting ({short}.{kind}) to ({internal}): unknown conversion")


def _unreadable(resource: Resource, why: str) -> ApiFailure:
    return ApiFailure(
        400, f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: {why}'
    )
