"""RFC 6902 as the API server's library implements it: evanphx/json-patch, where replace adds an absent member."""

from typing import Any


class CannotApply(ValueError):
    """An operation is malformed, or does not fit the document."""


def apply(document: Any, operations: list[Any]) -> Any:
    """Apply operations in order; the document is not changed.

    Raises:
        CannotApply: an operation fails, including a test.
    """
    for operation in operations:
        if not isinstance(operation, dict) or not isinstance(operation.get("path"), str):
            raise CannotApply(f"not an operation: {operation!r}")
        document = _one(document, operation, _parts(operation["path"]))
    return document


def _one(document: Any, operation: dict[str, Any], path: list[str]) -> Any:
    match operation.get("op"):
        case "add":
            return _set(document, path, _given(operation), insert=True)
        case "replace":
            return _set(document, path, _given(operation), insert=False)
        case "remove":
            return _remove(document, path)
        case "test":
            if _get(document, path, missing=None) != operation.get("value"):
                raise CannotApply(f"test of {operation['path']} failed")
            return document
        case "move":
            source = _parts(str(operation.get("from")))
            return _set(_remove(document, source), path, _get(document, source), insert=True)
        case "copy":
            return _set(document, path, _get(document, _parts(str(operation.get("from")))), insert=True)
    raise CannotApply(f"unexpected kind: {operation.get('op')}")


def _given(operation: dict[str, Any]) -> Any:
    if "value" not in operation:
        raise CannotApply("no value")
    return operation["value"]


def _parts(pointer: str) -> list[str]:
    if pointer and not pointer.startswith("/"):
        raise CannotApply(f"not a JSON pointer: {pointer}")
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


_FAIL = object()


def _get(document: Any, path: list[str], *, missing: Any = _FAIL) -> Any:
    for part in path:
        if isinstance(document, dict) and part in document:
            document = document[part]
        elif isinstance(document, list) and part.isdigit() and int(part) < len(document):
            document = document[int(part)]
        elif missing is not _FAIL and isinstance(document, dict):
            return missing
        else:
            raise CannotApply(f"missing: {part}")
    return document


def _set(document: Any, path: list[str], value: Any, *, insert: bool) -> Any:
    if not path:
        return value
    head, rest = path[0], path[1:]
    if isinstance(document, dict):
        if not rest:
            return document | {head: value}
        if head not in document:
            raise CannotApply(f"missing: {head}")
        return document | {head: _set(document[head], rest, value, insert=insert)}
    if not isinstance(document, list):
        raise CannotApply(f"neither object nor array at {head}")
    if not rest:
        return _put(document, head, value, insert=insert)
    at = _index(document, head)
    return [*document[:at], _set(document[at], rest, value, insert=insert), *document[at + 1 :]]


def _put(items: list[Any], at: str, value: Any, *, insert: bool) -> list[Any]:
    if insert and at in ("-", str(len(items))):
        return [*items, value]
    place = _index(items, at)
    return [*items[:place], value, *items[place + (not insert) :]]


def _remove(document: Any, path: list[str]) -> Any:
    if not path:
        raise CannotApply("the whole document cannot be removed")
    head, rest = path[0], path[1:]
    if isinstance(document, dict) and head in document:
        if rest:
            return document | {head: _remove(document[head], rest)}
        return {key: value for key, value in document.items() if key != head}
    if isinstance(document, list):
        at = _index(document, head)
        return [*document[:at], *([_remove(document[at], rest)] if rest else []), *document[at + 1 :]]
    raise CannotApply(f"missing: {head}")


def _index(items: list[Any], part: str) -> int:
    if not part.lstrip("-").isdigit():
        raise CannotApply(f"not an index: {part}")
    at = int(part) + (len(items) if part.startswith("-") else 0)
    if not 0 <= at < len(items):
        raise CannotApply(f"index out of range: {part}")
    return at
