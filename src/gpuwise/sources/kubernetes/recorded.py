"""A recording of a cluster: what `kubectl get ... -o json` wrote, read as if it were the API."""

import json
from pathlib import Path
from typing import Any

from gpuwise.model.errors import Gone, InputError
from gpuwise.model.ports import Access, Object
from gpuwise.sources.kubernetes.listings import COLLECTIONS, OPTIONAL_COLLECTIONS
from gpuwise.sources.kubernetes.workloads import TOPS

_HOW = "write one with `kubectl get nodes,namespaces,pods,deployments,statefulsets,replicasets,jobs,pdb,hpa -A -o json`"
_KINDS = {path: kind for kind, path in (COLLECTIONS | OPTIONAL_COLLECTIONS).items()}

Objects = list[Object]  # inside the class, `list` is its method


class RecordedObjects:
    """A ClusterReader over a JSON List.

    Args:
        path: the file.

    Raises:
        InputError: it cannot be read, or is no list of Kubernetes objects.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._objects = _read(path)

    def list(self, path: str, *, label_selector: str = "", field_selector: str = "") -> Objects:
        """All recorded objects of a collection.

        Raises:
            Gone: the collection is of a kind that no recording holds.
            InputError: selectors, which a recording does not know.
        """
        if label_selector or field_selector:
            raise InputError(f"the recording {self._path} cannot be selected from", hint="list the whole collection")
        if path not in _KINDS:
            raise Gone(f"the recording {self._path} holds no {path}", hint=_HOW)
        return [item for item in self._objects if item["kind"] == _KINDS[path]]

    def list_optional(self, path: str, *, label_selector: str = "", field_selector: str = "") -> Objects:
        """As `list`: a recording that holds none of a kind is as good as a cluster without it."""
        return self.list(path, label_selector=label_selector, field_selector=field_selector)

    def may(self, _access: Access) -> bool | None:
        """Unknown: nobody has rights in a recording."""
        return None

    def get(self, path: str) -> Object:
        """One recorded object by its path.

        Raises:
            Gone: there is none.
        """
        collection, _, name = path.rpartition("/")
        head, _, tail = collection.partition("/namespaces/")
        namespace, _, plural = tail.partition("/")
        kind = _KINDS.get(f"{head}/{plural}" if plural else collection)
        for item in self._objects:
            metadata = item["metadata"]
            same = not plural or metadata.get("namespace") == namespace
            if item["kind"] == kind and metadata["name"] == name and same:
                return item
        raise Gone(f"the recording {self._path} holds no {path}", hint=_HOW)


def _read(path: Path) -> Objects:
    try:
        listed: Any = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}", hint="give a recording of a cluster") from error
    except ValueError as error:
        raise InputError(f"{path} is no JSON: {error}", hint=_HOW) from error
    items = listed.get("items") if isinstance(listed, dict) else None
    if not isinstance(items, list):
        raise InputError(f"{path} is no Kubernetes List", hint=_HOW)
    for at, item in enumerate(items):
        _check(item, f"items[{at}] of {path}")
    # A fleet without a node is a recording that was cut short, not an empty fleet (safety story 15).
    if not any(item["kind"] == "Node" for item in items):
        raise InputError(f"{path} holds no Node", hint=_HOW)
    return items


def _check(item: Any, where: str) -> None:
    metadata = item.get("metadata") if isinstance(item, dict) else None
    if not isinstance(metadata, dict) or "kind" not in item or "name" not in metadata:
        raise InputError(f"{where} is no Kubernetes object", hint=_HOW)
    for field in ("uid", "creationTimestamp"):
        if item["kind"] in (*TOPS, "Pod") and field not in metadata:
            raise InputError(f"{where} has no metadata.{field}", hint=_HOW)
