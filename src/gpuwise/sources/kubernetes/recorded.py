"""A recording of a cluster: the output of `kubectl get ... -o json`, read like the API."""

import json
from pathlib import Path
from typing import Any

from gpuwise.model.errors import Gone, InputError
from gpuwise.model.ports import Access, Object
from gpuwise.sources.kubernetes.listings import ALL_COLLECTIONS, EARLIER, OLDER_VERSIONS
from gpuwise.sources.kubernetes.workloads import TOPS

_HOW = (
    "create one with"
    " `kubectl get nodes,namespaces,pods,deployments,statefulsets,replicasets,jobs,pdb,hpa,pvc,pv -A -o json`"
)
_KINDS = {path: kind for kind, path in ALL_COLLECTIONS.items()}
_KINDS |= {path: kind for kind, paths in (OLDER_VERSIONS | EARLIER).items() for path in paths}

Objects = list[Object]  # inside the class, `list` is its method


class RecordedObjects:
    """A ClusterReader that reads a JSON List.

    Args:
        path: the file.

    Raises:
        InputError: the file cannot be read, or is not a list of Kubernetes objects.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._objects = _read(path)

    def list(self, path: str, *, label_selector: str = "", field_selector: str = "") -> Objects:
        """Return all recorded objects of a collection.

        Raises:
            Gone: the collection is of a kind that recordings do not contain.
            InputError: a selector was given, which recordings do not support.
        """
        if label_selector or field_selector:
            raise InputError(f"the recording {self._path} does not support selectors", hint="list the whole collection")
        if path not in _KINDS:
            raise Gone(f"the recording {self._path} does not contain {path}", hint=_HOW)
        return [item for item in self._objects if item["kind"] == _KINDS[path]]

    def list_optional(self, path: str, *, label_selector: str = "", field_selector: str = "") -> Objects:
        """As `list`: a recording without objects of a kind is treated like a cluster without that kind."""
        return self.list(path, label_selector=label_selector, field_selector=field_selector)

    def may(self, _access: Access) -> bool | None:
        """Return None, unknown: a recording has no access control."""
        return None

    def get(self, path: str) -> Object:
        """Return one recorded object by its path.

        Raises:
            Gone: there is no such object.
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
        raise Gone(f"the recording {self._path} does not contain {path}", hint=_HOW)


def _read(path: Path) -> Objects:
    try:
        listed: Any = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}", hint="give the recording of a cluster") from error
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON: {error}", hint=_HOW) from error
    items = listed.get("items") if isinstance(listed, dict) else None
    if not isinstance(items, list):
        raise InputError(f"{path} is not a Kubernetes List", hint=_HOW)
    for at, item in enumerate(items):
        _check(item, f"items[{at}] of {path}")
    # A recording without a node is incomplete, not an empty fleet.
    if not any(item["kind"] == "Node" for item in items):
        raise InputError(f"{path} contains no Node", hint=_HOW)
    return items


def _check(item: Any, where: str) -> None:
    metadata = item.get("metadata") if isinstance(item, dict) else None
    if not isinstance(metadata, dict) or "kind" not in item or "name" not in metadata:
        raise InputError(f"{where} is not a Kubernetes object", hint=_HOW)
    for field in ("uid", "creationTimestamp"):
        if item["kind"] in (*TOPS, "Pod") and field not in metadata:
            raise InputError(f"{where} has no metadata.{field}", hint=_HOW)
