"""The objects, their versions and their life: what etcd does in a real server.

An object in here is never changed in place: each write puts a new one, so readers need no copy.
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
from gpuwise.emulate.lifecycle import carried_over, name_suffix, namespace_named
from gpuwise.emulate.managed import with_manager
from gpuwise.emulate.registry import Registry
from gpuwise.emulate.resources import NAMESPACES, PODS, SERVICEACCOUNTS, Resource
from gpuwise.emulate.schema import WrongType, decode
from gpuwise.emulate.status import ApiFailure, Object, not_found
from gpuwise.emulate.validate import check

Change = Callable[[Object], Object]

CONTROLLERS = "kube-controller-manager"
_ALWAYS_THERE = frozenset({"default", "kube-node-lease", "kube-public", "kube-system"})


class ObjectStore:
    """Every object of the cluster, one counter for all versions.

    Args:
        clock: epoch seconds.
        registry: which kinds there are.
    """

    def __init__(self, clock: Callable[[], float], registry: Registry) -> None:
        self.lock = threading.RLock()
        self.registry = registry
        self._clock = clock
        self._objects: dict[Resource, dict[Key, Object]] = {}
        self._sorted: dict[Resource, list[Object]] = {}
        # Versions below this are too old for anything, as on a server that has been up for a while.
        self._version = 100
        self.history = History(self._version)
        self._names = itertools.count(1)
        self._listeners: list[Callable[[], None]] = []
        self._count = itertools.count(1)
        self.scratch: dict[str, Any] = {}
        """What controllers remember between two passes."""
        self.moves = 0
        """Deletions, marks for deletion and objects with owners so far: what the garbage collector looks at."""
        self.due_s: float | None = None
        """When a controller wants to look again, epoch seconds; None for never."""

    @property
    def version(self) -> int:
        """The resourceVersion of the last write."""
        return self._version

    @property
    def epoch_s(self) -> float:
        """The clock."""
        return self._clock()

    def now(self) -> str:
        """The clock as the API writes it."""
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._clock()))

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call something after each write, under the lock: it must be quick."""
        self._listeners.append(listener)

    def unsubscribe(self, listener: Callable[[], None]) -> None:
        """Take it back."""
        self._listeners.remove(listener)

    def touch(self) -> None:
        """Wake the listeners without a write, so that they look up."""
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
        """One object, None if it is not there."""
        return self._objects.get(resource, {}).get((namespace, name))

    def all(self, resource: Resource) -> list[Object]:
        """Every object of a kind, in the order of namespace and name; the list is not to be changed."""
        with self.lock:
            if resource not in self._sorted:
                kept = self._objects.get(resource, {})
                self._sorted[resource] = [kept[key] for key in sorted(kept)]
            return self._sorted[resource]

    def past(self, resource: Resource, version: int) -> list[Object]:
        """Every object of a kind as it was at a version that the history still lists."""
        with self.lock:
            found = self.history.past(resource, self._objects.get(resource, {}).items(), version)
            return [found[key] for key in sorted(found)]

    def load(self, items: Iterable[Object]) -> None:
        """Take objects as they are, with their uid, status and times: a cluster's past.

        Raises:
            ApiFailure: 404 for a kind that is not served, 422 for an object that no server would have taken.
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
                born = self.born(resource, value)
                check(resource, born, loaded=True)
                self.put(resource, self.peek(resource, *key_of(born)), born)
            self._found_namespaces()

    def clear(self) -> None:
        """Take everything away; the version goes on, so watchers see it all go."""
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
        """Change one object as a controller does: unchecked; a change that changes nothing writes nothing.

        Args:
            resource: of which kind.
            namespace: where, "" for a kind without.
            name: which.
            change: from the present object to the wanted one.
            manager: who writes, for managedFields.
            subresource: "" or "status".

        Raises:
            ApiFailure: 404.
        """
        with self.lock:
            old = self.get(resource, namespace, name)
            new = carried_over(resource, old, change(old))
            if new == old:
                return old
            return self.put(resource, old, with_manager(new, manager=manager, subresource=subresource, now=self.now()))

    def remove(self, resource: Resource, old: Object) -> None:
        """Take an object away at once."""
        self.put(resource, old, None)

    def bind(self, pod: Object, node: str, status: Object) -> None:
        """Give a pod its node and its status, which no update may do."""
        with self.lock:
            self.put(PODS, pod, pod | {"spec": pod["spec"] | {"nodeName": node}, "status": status})

    def suffix(self) -> str:
        """Five characters that no other name in this store ends with."""
        return name_suffix(next(self._names))

    def count(self) -> int:
        """1, 2, 3 and so on: for addresses."""
        return next(self._count)

    def wake_at(self, epoch_s: float) -> None:
        """Let the controllers look again at a time, even if nothing was written."""
        self.due_s = epoch_s if self.due_s is None else min(self.due_s, epoch_s)

    def born(self, resource: Resource, item: Object) -> Object:
        """A new object with its uid, times and defaults; not yet kept."""
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
        """Write, count and tell; the one place where the version moves."""
        with self.lock:
            if new is not None and _goes(new):
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
                self._found_account(new["metadata"]["name"])
            if _matters(old, new):
                self.moves += 1
            for listener in self._listeners:
                listener()
            return answer

    def _found_namespaces(self) -> None:
        """Every object that was loaded has its namespace, and so have those that are in every cluster."""
        kinds = [kind for kind in self._objects if kind.namespaced]
        named = set(_ALWAYS_THERE) | {namespace for kind in kinds for namespace, _ in self._objects[kind]}
        for namespace in sorted(named - {name for _, name in self._objects.get(NAMESPACES, {})}):
            self.put(NAMESPACES, None, self.born(NAMESPACES, _decoded(NAMESPACES, namespace_named(namespace))))

    def _found_account(self, namespace: str) -> None:
        """The service account controller's work, done at once."""
        named = {"name": "default", "namespace": namespace}
        account: Object = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": named}
        if self.peek(SERVICEACCOUNTS, namespace, "default") is None:
            self.put(SERVICEACCOUNTS, None, self.born(SERVICEACCOUNTS, account))


def key_of(item: Object) -> Key:
    """Namespace and name."""
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]


def _matters(old: Object | None, new: Object | None) -> bool:
    if new is None or "deletionTimestamp" in new["metadata"]:
        return True
    if old is None:
        return bool(new["metadata"].get("ownerReferences"))
    # A cluster's past that is loaded over another one can bring an object of the same name.
    return bool(old["metadata"]["uid"] != new["metadata"]["uid"])


def _goes(item: Object) -> bool:
    """An object that is marked for deletion is gone once nothing holds it; a pod goes by the kubelet's word."""
    metadata = item["metadata"]
    of_namespace = item["spec"].get("finalizers") if item.get("kind") == "Namespace" and "spec" in item else None
    held = metadata.get("finalizers") or of_namespace
    return "deletionTimestamp" in metadata and not held and item.get("kind") != "Pod"


def _decoded(resource: Resource, item: Object) -> Object:
    if not resource.schema:
        return item
    value, _ = decode(resource.schema, item)
    found: Object = value
    return found
