"""Pre-image and post-image: the fields that a change touches, by JSON pointer; a field that is absent has no entry.

The patch and its undo are both made from two images, so undo restores exactly, absence included.
"""

from typing import Any

from gpuwise.model.ports import Object

Image = dict[str, Any]

_NOTHING = object()


def pointer(*parts: str | int) -> str:
    """A JSON pointer (RFC 6901) from its parts."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def image_of(item: Object, *images: Image) -> Image:
    """What an object has now in the fields that these images speak of."""
    values = {at: _value(item, at) for image in images for at in image}
    return {at: value for at, value in values.items() if value is not _NOTHING}


def operations(item: Object, old: Image, new: Image) -> list[Object]:
    """The JSON patch (RFC 6902) that takes an object's touched fields from one image to the other.

    It carries uid and resourceVersion as preconditions: the server answers 409 if either has moved on.

    Args:
        item: as it was read.
        old: its fields as they are.
        new: the same fields as they shall be.
    """
    metadata = item["metadata"]
    found: list[Object] = [
        {"op": "replace", "path": "/metadata/uid", "value": metadata["uid"]},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": metadata["resourceVersion"]},
    ]
    made: set[str] = set()
    for at in sorted(old.keys() | new.keys()):
        if at not in new:
            found.append({"op": "remove", "path": at})
        elif at not in old:
            found += _parents(item, at, made)
            found.append({"op": "add", "path": at, "value": new[at]})
        elif old[at] != new[at]:
            found.append({"op": "replace", "path": at, "value": new[at]})
    return found


def difference(expected: Image, actual: Image) -> str:
    """What differs, for a person: "spec.replicas is 3, expected 0"."""
    return "; ".join(
        f"{_name(at)} is {_say(actual, at)}, expected {_say(expected, at)}"
        for at in sorted(expected.keys() | actual.keys())
        if expected.get(at, _NOTHING) != actual.get(at, _NOTHING)
    )


def change_text(old: Image, new: Image) -> str:
    """What changes, for a person: "spec.replicas: 3 -> 0"."""
    return "; ".join(
        f"{_name(at)}: {_say(old, at)} -> {_say(new, at)}"
        for at in sorted(old.keys() | new.keys())
        if old.get(at, _NOTHING) != new.get(at, _NOTHING)
    )


def _name(at: str) -> str:
    """A field as people write it: "metadata.annotations[gpuwise.dev/action-id]"."""
    first, *rest = _parts(at)
    plain = (f".{part}" if part.isidentifier() else f"[{part}]" for part in rest)
    return "".join((first, *plain))


def _say(image: Image, at: str) -> str:
    return repr(image[at]) if at in image else "absent"


def _value(item: Any, at: str) -> Any:
    for part in _parts(at):
        if isinstance(item, dict) and part in item:
            item = item[part]
        elif isinstance(item, list) and part.isdigit() and int(part) < len(item):
            item = item[int(part)]
        else:
            return _NOTHING
    return item


def _parts(at: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in at.split("/")[1:]]


def _parents(item: Object, at: str, made: set[str]) -> list[Object]:
    """Maps that must be there before a field can be added: annotations and the like, which the API drops when empty."""
    found: list[Object] = []
    parts = at.split("/")
    for depth in range(2, len(parts)):
        parent = "/".join(parts[:depth])
        if parent not in made and _value(item, parent) is _NOTHING:
            found.append({"op": "add", "path": parent, "value": {}})
            made.add(parent)
    return found
