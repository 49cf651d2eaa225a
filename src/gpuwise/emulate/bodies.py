"""Parses the body of a write request; errors have the text of a real server."""

import json
import re
from dataclasses import dataclass
from typing import Any

import yaml

from gpuwise.emulate.status import ApiFailure, not_emulated

JSON, YAML, PROTOBUF = "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"
_STRUCT = 'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'
_JSON_TYPES = {str: "string", int: "number", float: "number", list: "array", bool: "bool"}


@dataclass(frozen=True, slots=True)
class Body:
    """A parsed body.

    Attributes:
        value: the JSON.
        twice: paths of duplicate keys.
    """

    value: Any
    twice: tuple[str, ...]


def media_type(header: str) -> str:
    """The media type without its parameters."""
    return header.partition(";")[0].strip()


def read(raw: bytes, header: str, kind: str) -> Body:
    """Parse the body of a create or update.

    Args:
        raw: the raw body.
        header: the Content-Type, "" if absent.
        kind: the expected kind.

    Raises:
        ApiFailure: 415 for another media type, 400 for a body that cannot be parsed, 501 for protobuf.
    """
    media = media_type(header) or JSON
    if media not in (JSON, YAML, PROTOBUF):
        accepted = f"{JSON}, {YAML}, {PROTOBUF}"
        raise ApiFailure(
            415, f"the body of the request was in an unknown format - accepted media types include: {accepted}"
        )
    prefix = f"the object provided is unrecognized (must be of type {kind}): "
    if media == PROTOBUF:
        if not raw.startswith(b"k8s\0"):
            why = "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"
            raise ApiFailure(400, f"{prefix}{why} ({raw.hex()})")
        raise not_emulated("a body in protobuf")
    if media == YAML:
        return Body(_yaml(raw), ())
    twice: list[str] = []
    value = _json(raw, prefix, twice)
    if value is not None and not isinstance(value, dict):
        why = f"json: cannot unmarshal {_JSON_TYPES[type(value)]} into Go value of type {_STRUCT}"
        raise ApiFailure(400, f"{prefix}couldn't get version/kind; json parse error: {why} ({raw.hex()})")
    return Body(value or {}, tuple(twice))


def read_options(raw: bytes) -> Any:
    """Parse the body of a delete; None if it is empty.

    Raises:
        ApiFailure: 400.
    """
    if not raw:
        return None
    prefix = "couldn't get version/kind; json parse error: "
    try:
        value = json.loads(raw)
    except ValueError as error:
        raise ApiFailure(400, f"{prefix}unexpected end of JSON input") from error
    if value is not None and not isinstance(value, dict):
        raise ApiFailure(
            400, f"{prefix}json: cannot unmarshal {_JSON_TYPES[type(value)]} into Go value of type {_STRUCT}"
        )
    return value


def _json(raw: bytes, prefix: str, twice: list[str]) -> Any:
    try:
        value = json.loads(raw, object_pairs_hook=_pairs)
    except ValueError as error:
        shown = raw.decode("utf-8", "replace") or "<empty>"
        why = f"couldn't get version/kind; json parse error: unexpected end of JSON input ({shown})"
        raise ApiFailure(400, prefix + why) from error
    return _plain(value, "", twice)


class _Twice(dict[str, Any]):
    """An object with duplicate keys."""

    keys_twice: tuple[str, ...] = ()


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    names = [name for name, _ in pairs]
    marked = _Twice(found)
    marked.keys_twice = tuple(name for name in found if names.count(name) > 1)
    return marked


def _plain(value: Any, path: str, twice: list[str]) -> Any:
    if isinstance(value, dict):
        spot = f"{path}." if path else ""
        twice += [spot + key for key in getattr(value, "keys_twice", ())]
        return {key: _plain(item, spot + key, twice) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, f"{path}[{at}]", twice) for at, item in enumerate(value)]
    return value


class _GoLoader(yaml.SafeLoader):
    """Keeps timestamps as text, as the JSON that a server derives from YAML does."""


_GoLoader.yaml_implicit_resolvers = {
    letter: [entry for entry in entries if entry[0] != "tag:yaml.org,2002:timestamp"]
    for letter, entries in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class _OldBool(_GoLoader):
    """YAML 1.1: y and n are booleans too."""


_OldBool.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:y|Y|n|N)$"), list("yYnN"))
_OldBool.bool_values = {**yaml.SafeLoader.bool_values, "y": True, "n": False}


def _yaml(raw: bytes) -> Any:
    try:
        value = yaml.load(raw, _OldBool)  # noqa: S506  # a SafeLoader with fewer types
    except yaml.YAMLError as error:
        raise ApiFailure(400, f"error converting YAML to JSON: {error}") from error
    if not isinstance(value, dict):
        raise ApiFailure(400, "couldn't get version/kind; json parse error: not an object")
    return value


def read_patch(raw: bytes, media: str) -> Any:
    """Parse a patch.

    Raises:
        ApiFailure: 400.
    """
    if media.endswith("+yaml"):
        return _yaml(raw)
    try:
        return json.loads(raw)
    except ValueError as error:
        text = raw.decode("utf-8", "replace")
        is_json = not text.strip() or text.lstrip()[0] in "{["
        why = "unexpected end of JSON input"
        if not is_json:
            why = f"invalid character {text.lstrip()[0]!r} looking for beginning of value"
        raise ApiFailure(400, f"error decoding patch: {why}") from error
