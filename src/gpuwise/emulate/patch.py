"""The patches of the API: JSON merge (RFC 7386), JSON patch (RFC 6902) and strategic merge."""

from typing import Any

from gpuwise.emulate import jsonpatch
from gpuwise.emulate.resources import Resource
from gpuwise.emulate.status import ApiFailure, Object
from gpuwise.emulate.strategic import strategic_merge

MERGE = "application/merge-patch+json"
JSON = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
_KNOWN = (JSON, MERGE, STRATEGIC, APPLY)


def check_media(resource: Resource, media: str) -> None:
    """Check that a kind supports patches of a media type.

    Raises:
        ApiFailure: 415.
    """
    if media not in _KNOWN:
        raise ApiFailure(415, "415: Unsupported Media Type", details={})
    if media == STRATEGIC and not resource.builtin:
        accepted = f"{JSON}, {MERGE}, {APPLY}"
        text = f"the body of the request was in an unknown format - accepted media types include: {accepted}"
        raise ApiFailure(415, text)


def apply_patch(schema: str, target: Object, body: Any, media: str) -> Object:
    """Patch an object and return the new one; the target is not changed.

    Args:
        schema: its type in fields.json, for a strategic merge.
        target: the object.
        body: the patch.
        media: its media type; server-side apply is not handled here.

    Raises:
        ApiFailure: 400 for a patch that cannot be parsed, 422 or 500 for one that cannot be applied.
    """
    if media == JSON:
        return _json_patch(target, body)
    if not isinstance(body, dict):
        word = "array" if isinstance(body, list) else "string" if isinstance(body, str) else "number"
        prefix = "error decoding patch: " if media == MERGE else ""
        raise ApiFailure(400, f"{prefix}json: cannot unmarshal {word} into Go value of type map[string]interface {{}}")
    patched: Object = merge_patch(target, body) if media == MERGE else strategic_merge(schema, target, body)
    return patched


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7386: null removes, maps merge, everything else replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def _json_patch(target: Object, body: Any) -> Object:
    if not isinstance(body, list):
        raise ApiFailure(
            400, "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"
        )
    try:
        patched = jsonpatch.apply(target, body)
    except jsonpatch.CannotApply as error:
        text = "the server rejected our request due to an error in our request"
        raise ApiFailure(422, text, details={}) from error
    if not isinstance(patched, dict):
        raise ApiFailure(422, "the server rejected our request due to an error in our request", details={})
    return patched
