"""The objects, their versions and their lifecycle: the part of etcd and the registry.

Objects are never changed in place: each write stores a new object, so readers need no copy.
"""

import itertools
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from typing import Any

from gpuwise.emulate.defaults import with_defaults
from gpuwise.emulate.defaults_pods import qos_class
from gpuwise.emulate.history import Event, History, Key
from gpuwise.emulate.lifecycle import name_suffix, namespace_named, with_server_metadata
from gpuwise.emulate.managed import with_manager
from gpuwise.emulate.registry import Registry
from gpuwise.emulate.resources import NAMESPACES, PODS, SERVICEACCOUNTS, Resource
from gpuwise.emulate.schema import WrongType, decode
from gpuwise.emulate.status import ApiFailure, Object, not_found
from gpuwise.emulate.validate import check

Change = Callable[[Object], Object]

CONTROLLERS = "kube-controller-manager"
_SYSTEM_NAMESPACES = frozenset({"default", "kube-node-lease", "kube-public", "kube-system"})


class ObjectStore:
    """All objects of the cluster, with one counter for all versions.

    Args:
        clock: epoch seconds.
        registry: the registered resources.
    """

    def __init__(self, clock: Callable[[], float], registry: Registry) -> None:
        self.lock = threading.RLock()
        self.registry = registry
        self._clock = clock
        self._objects: dict[Resource, dict[Key, Object]] = {}
        self._sorted: dict[Resource, list[Object]] = {}
        # Versions below this one are expired from the start, as on a server that has been running for a while.
        self._version = 100
        self.history = History(self._version)
        self._names = itertools.count(1)
        self._listeners: list[Callable[[], None]] = []
        self._count = itertools.count(1)
        self.scratch: dict[str, Any] = {}
        """State that controllers keep between two passes."""
        self.collectable = 0
        """Number of deletions and of new objects with owners so far: the garbage collector runs when it changes."""
        self.due_s: float | None = None
        """When a controller needs to run again, epoch seconds; None for never."""

    @property
    def version(self) -> int:
        """The resourceVersion of the last write."""
        return self._version

    @property
    def epoch_s(self) -> float:
        """The time, epoch seconds."""
        return self._clock()

    def now(self) -> str:
        """The time in the API's format."""
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._clock()))

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call a function after each write, while the lock is held: it must be quick."""
        self._listeners.append(listener)

    def unsubscribe(self, listener: Callable[[], None]) -> None:
        """Stop calling a function."""
        self._listeners.remove(listener)

    def touch(self) -> None:
        """Call the listeners without a write."""
        with self.lock:
            for listener in self._listeners:
                listener()

    def get(self, resource: Resource, namespace: str, name: str) -> Object:
        """One object.

        Raises:
            ApiFailure: 404.
        """
        found = self.peek(resource, namespace, name)
        if found is None:
            raise not_found(resource, name)
        return found

    def peek(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """One object, None if it does not exist."""
        return self._objects.get(resource, {}).get((namespace, name))

    def all(self, resource: Resource) -> list[Object]:
        """All objects of a kind, sorted by namespace and name; do not change the list."""
        with self.lock:
            if resource not in self._sorted:
                kept = self._objects.get(resource, {})
                self._sorted[resource] = [kept[key] for key in sorted(kept)]
            return self._sorted[resource]

    def past(self, resource: Resource, version: int) -> list[Object]:
        """All objects of a kind at an earlier version that the history still has."""
        with self.lock:
            found = self.history.past(resource, self._objects.get(resource, {}).items(), version)
            return [found[key] for key in sorted(found)]

    def load(self, items: Iterable[Object]) -> None:
        """Store objects as they are, with their uid, status and times: a cluster's past.

        Raises:
            ApiFailure: 404 for a kind that is not served, 422 for an object that no server would accept.
        """
        with self.lock:
            for item in items:
                resource = self.registry.of_kind(item["apiVersion"], item["kind"])
                if resource is None or resource.other_version_of:
                    raise ApiFailure(404, f"no such kind: {item['apiVersion']} {item['kind']}")
                metadata = {"namespace": "default"} | item["metadata"]
                try:
                    value = _decoded(resource, item | {"metadata": metadata})
                except WrongType as error:
                    raise ApiFailure(422, f"{item['kind']} {metadata.get('name')}: {error}") from error
                made = self.prepared(resource, value)
                check(resource, made, loaded=True)
                self.put(resource, self.peek(resource, *key_of(made)), made)
            self._create_namespaces()

    def clear(self) -> None:
        """Delete all objects; the version continues, so watchers see the deletions."""
        with self.lock:
            for resource, kept in self._objects.items():
                for item in list(kept.values()):
                    self.put(resource, item, None)

    def update(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        change: Change,
        *,
        manager: str = CONTROLLERS,
        subresource: str = "",
    ) -> Object:
        """Change one object like a controller does, without validation; an unchanged object is not written.

        Args:
            resource: the object's resource.
            namespace: its namespace, "" if it is not namespaced.
            name: its name.
            change: function from the current object to the new one.
            manager: the writer, for managedFields.
            subresource: "" or "status".

        Raises:
            ApiFailure: 404.
        """
        with self.lock:
            old = self.get(resource, namespace, name)
            new = with_server_metadata(resource, old, change(old))
            if new == old:
                return old
            return self.put(resource, old, with_manager(new, manager=manager, subresource=subresource, now=self.now()))

    def remove(self, resource: Resource, old: Object) -> None:
        """Remove an object at once."""
        self.put(resource, old, None)

    def bind(self, pod: Object, node: str, status: Object) -> None:
        """Set the node and the status of a pod; an update cannot set the node."""
        with self.lock:
            self.put(PODS, pod, pod | {"spec": pod["spec"] | {"nodeName": node}, "status": status})

    def suffix(self) -> str:
        """Five characters that no other generated name in this store ends with."""
        return name_suffix(next(self._names))

    def count(self) -> int:
        """Counts 1, 2, 3 and so on, for addresses."""
        return next(self._count)

    def wake_at(self, epoch_s: float) -> None:
        """Let the controllers run again at a time, even without a write."""
        self.due_s = epoch_s if self.due_s is None else min(self.due_s, epoch_s)

    def prepared(self, resource: Resource, item: Object) -> Object:
        """A new object with its uid, times and defaults, not stored yet."""
        metadata = {"uid": str(uuid.uuid4()), "creationTimestamp": self.now()} | item["metadata"]
        if resource.counted:
            metadata.setdefault("generation", 1)
        if not resource.namespaced:
            metadata.pop("namespace", None)
        made = with_defaults(resource, item | {"metadata": metadata})
        if resource is PODS:
            status = {"phase": "Pending", "qosClass": qos_class(made["spec"])} | (made.get("status") or {})
            made = made | {"status": status}
        return made

    def put(self, resource: Resource, old: Object | None, new: Object | None) -> Object:
        """Write an object and notify the listeners; the only place where the version changes."""
        with self.lock:
            if new is not None and _is_gone(new):
                answer, new = new, None
            else:
                answer = new or old or {}
            self._version += 1
            kept = self._objects.setdefault(resource, {})
            self._sorted.pop(resource, None)
            if new is not None:
                new = answer = new | {"metadata": new["metadata"] | {"resourceVersion": str(self._version)}}
                kept[key_of(new)] = new
            elif old is not None:
                kept.pop(key_of(old), None)
            self.history.add(Event(self._version, resource, old, new))
            if resource is NAMESPACES and new is not None and old is None:
                self._create_account(new["metadata"]["name"])
            if _is_collectable(old, new):
                self.collectable += 1
            for listener in self._listeners:
                listener()
            return answer

    def _create_namespaces(self) -> None:
        """Create the namespaces of loaded objects, and those that every cluster has."""
        kinds = [kind for kind in self._objects if kind.namespaced]
        named = set(_SYSTEM_NAMESPACES) | {namespace for kind in kinds for namespace, _ in self._objects[kind]}
        for namespace in sorted(named - {name for _, name in self._objects.get(NAMESPACES, {})}):
            self.put(NAMESPACES, None, self.prepared(NAMESPACES, _decoded(NAMESPACES, namespace_named(namespace))))

    def _create_account(self, namespace: str) -> None:
        """Create the default service account, as its controller would."""
        named = {"name": "default", "namespace": namespace}
        account: Object = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": named}
        if self.peek(SERVICEACCOUNTS, namespace, "default") is None:
            self.put(SERVICEACCOUNTS, None, self.prepared(SERVICEACCOUNTS, account))


def key_of(item: Object) -> Key:
    """Namespace and name."""
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]


def _is_collectable(old: Object | None, new: Object | None) -> bool:
    if new is None or "deletionTimestamp" in new["metadata"]:
        return True
    if old is None:
        return bool(new["metadata"].get("ownerReferences"))
    # Loading a cluster's past over another one can replace an object by one of the same name.
    return bool(old["metadata"]["uid"] != new["metadata"]["uid"])


def _is_gone(item: Object) -> bool:
    """Whether a terminating object has no finalizers left; pods are removed by the kubelet instead."""
    metadata = item["metadata"]
    of_namespace = item["spec"].get("finalizers") if item.get("kind") == "Namespace" and "spec" in item else None
    finalizers = metadata.get("finalizers") or of_namespace
    return "deletionTimestamp" in metadata and not finalizers and item.get("kind") != "Pod"


def _decoded(resource: Resource, item: Object) -> Object:
    if not resource.schema:
        return item
    value, _ = decode(resource.schema, item)
    found: Object = value
    return found
