"""Objects that cannot be read are left out, and the run continues (HAMi#1704: one pod stopped a scheduler)."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from gpuwise.model.inventory import Unread, WorkloadRef
from gpuwise.model.ports import Object

READ_ERRORS = (ValueError, TypeError, KeyError, AttributeError, OverflowError)
"""Exceptions that reading a field of an unexpected type or form raises."""


@contextmanager
def reading(
    kind: str, item: Object, unreadable: list[Unread], *, nodes: frozenset[str] = frozenset()
) -> Iterator[None]:
    """Read an object; if that fails, record it and continue.

    Args:
        kind: kind of the object.
        item: the object.
        unreadable: list to which unreadable objects are added.
        nodes: nodes on which its GPU pods run.
    """
    try:
        yield
    except READ_ERRORS as error:
        unreadable.append(unread(kind, item, error, nodes=nodes))


def identified(
    kind: str, items: Iterable[Object], unreadable: list[Unread], *, fields: tuple[str, ...]
) -> Iterator[Object]:
    """Yield the objects with these fields of their metadata, which everything else relies on.

    Args:
        kind: kind of the objects.
        items: the objects.
        unreadable: list to which the others are added.
        fields: names of the fields.
    """
    for item in items:
        metadata = item.get("metadata")
        known = metadata if isinstance(metadata, dict) else {}
        missing = next((name for name in fields if not isinstance(known.get(name), str)), None)
        if missing is None:
            yield item
        else:
            spec = item.get("spec")
            node = spec.get("nodeName") if kind == "Pod" and isinstance(spec, dict) else None
            nodes = frozenset([node] if isinstance(node, str) else [])
            unreadable.append(unread(kind, {"metadata": known}, KeyError(f"metadata.{missing}"), nodes=nodes))


def unread(kind: str, item: Object, error: BaseException, *, nodes: frozenset[str] = frozenset()) -> Unread:
    """Build the record of an unreadable object."""
    metadata = item.get("metadata") or {}
    name, uid = str(metadata.get("name", "?")), str(metadata.get("uid", ""))
    what = f"it has no {error.args[0]}" if isinstance(error, KeyError) and error.args else str(error)
    return Unread(WorkloadRef(str(metadata.get("namespace", "")), kind, name, uid), what, nodes)
