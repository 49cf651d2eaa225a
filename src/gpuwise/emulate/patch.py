"""The three patches of the API: JSON merge (RFC 7386), JSON patch (RFC 6902) and strategic merge."""

import json
from typing import Any

import jsonpatch

from gpuwise.emulate.resources import Resource
from gpuwise.emulate.status import ApiFailure, Object
from gpuwise.emulate.strategic import strategic_merge

MERGE = "application/merge-patch+json"
JSON = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"


def apply_patch(resource: Resource, target: Object, body: Any, content_type: str) -> Object:
    """Patch an object and give the new one; the target is left alone.

    Raises:
        ApiFailure: 415 for a content type that the kind does not take, 400 or 422 for a patch that cannot be applied.
    """
    kind = content_type.partition(";")[0].strip()
    taken = (JSON, MERGE, STRATEGIC) if resource.builtin else (JSON, MERGE)
    if kind not in taken:
        text = f"the body of the request was in an unknown format - accepted media types include: {', '.join(taken)}"
        raise ApiFailure(415, text)
    if kind == JSON:
        return _json_patch(target, body)
    if not isinstance(body, dict):
        raise ApiFailure(400, f"a {kind} must be an object")
    patched: Object = merge_patch(target, body) if kind == MERGE else strategic_merge(target, body)
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
        raise ApiFailure(400, "a JSON patch must be a list of operations")
    try:
        # A copy by way of JSON: jsonpatch writes into nested values.
        patched: Object = jsonpatch.apply_patch(json.loads(json.dumps(target)), body)
    except jsonpatch.InvalidJsonPatch as error:
        raise ApiFailure(400, f"cannot read the JSON patch: {error}") from error
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as error:
        raise ApiFailure(422, f"the server rejected our request due to an error in our request: {error}") from error
    return patched
