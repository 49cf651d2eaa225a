"""Pre-image and post-image: the fields that a change touches, by JSON pointer. An absent field has no entry.

The patch and its undo are both computed from the two images, so undo restores the object exactly, and removes fields
that were absent before.
"""

from typing import Any

from gpuwise.model.labels import ACTION_ID, WAKE, WAKE_AT
from gpuwise.model.ports import Object

Image = dict[str, Any]

_NOTHING = object()


def pointer(*parts: str | int) -> str:
    """Build a JSON pointer (RFC 6901) from its parts."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


# gpuwise's own annotations: they repeat what the action and the other fields show.
_OWN = frozenset(pointer("metadata", "annotations", name) for name in (ACTION_ID, WAKE, WAKE_AT))


def image_of(item: Object, *images: Image) -> Image:
    """Return an object's current values of the fields in these images."""
    values = {at: _value(item, at) for image in images for at in image}
    return {at: value for at, value in values.items() if value is not _NOTHING}


def operations(item: Object, old: Image, new: Image) -> list[Object]:
    """Return the JSON patch (RFC 6902) that changes an object's touched fields from one image to the other.

    The patch contains uid and resourceVersion as preconditions: the server returns 409 if either differs.

    Args:
        item: the object, as read from the API server.
        old: current values of its touched fields.
        new: new values of the same fields.
    """
    metadata = item["metadata"]
    found: list[Object] = [
        {"op": "replace", "path": "/metadata/uid", "value": metadata["uid"]},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": metadata["resourceVersion"]},
    ]
    added: set[str] = set()
    for at in sorted(old.keys() | new.keys()):
        if at not in new:
            found.append({"op": "remove", "path": at})
        elif at not in old:
            found += _parents(item, at, added)
            found.append({"op": "add", "path": at, "value": new[at]})
        elif old[at] != new[at]:
            found.append({"op": "replace", "path": at, "value": new[at]})
    return found


def difference(expected: Image, actual: Image) -> str:
    """Describe what differs: "spec.replicas is 3, expected 0"."""
    return "; ".join(
        f"{_name(at)} is {_shown(actual, at)}, expected {_shown(expected, at)}"
        for at in sorted(expected.keys() | actual.keys())
        if expected.get(at, _NOTHING) != actual.get(at, _NOTHING)
    )


def change_text(old: Image, new: Image) -> str:
    """Describe what changes: "spec.replicas: 3 -> 0"."""
    return "; ".join(
        f"{_name(at)}: {_shown(old, at)} -> {_shown(new, at)}"
        for at in sorted(old.keys() | new.keys())
        if at not in _OWN and old.get(at, _NOTHING) != new.get(at, _NOTHING)
    )


def nested(item: Object, at: str, value: Any) -> tuple[str, Any]:
    """Return the topmost absent field on the way to a field, with the value in it: undo then removes exactly that.

    Maps of metadata are left as they are: the API server itself removes empty ones.
    """
    parts = parts_of(at)
    for depth in range(1, len(parts)):
        if parts[0] != "metadata" and _value(item, pointer(*parts[:depth])) is _NOTHING:
            for part in reversed(parts[depth:]):
                value = {part: value}
            return pointer(*parts[:depth]), value
    return at, value


def _name(at: str) -> str:
    """Format a field: "metadata.annotations[gpuwise.dev/action-id]"."""
    first, *rest = parts_of(at)
    plain = (f".{part}" if part.isidentifier() else f"[{part}]" for part in rest)
    return "".join((first, *plain))


def _shown(image: Image, at: str) -> str:
    return repr(image[at]) if at in image else "absent"


def _value(item: Any, at: str) -> Any:
    for part in parts_of(at):
        if isinstance(item, dict) and part in item:
            item = item[part]
        elif isinstance(item, list) and part.isdigit() and int(part) < len(item):
            item = item[int(part)]
        else:
            return _NOTHING
    return item


def parts_of(at: str) -> list[str]:
    """Return the parts of a JSON pointer."""
    return [part.replace("~1", "/").replace("~0", "~") for part in at.split("/")[1:]]


def _parents(item: Object, at: str, added: set[str]) -> list[Object]:
    """Add the parent maps that a new field needs, such as annotations: the API drops empty maps."""
    found: list[Object] = []
    parts = at.split("/")
    for depth in range(2, len(parts)):
        parent = "/".join(parts[:depth])
        if parent not in added and _value(item, parent) is _NOTHING:
            found.append({"op": "add", "path": parent, "value": {}})
            added.add(parent)
    return found
