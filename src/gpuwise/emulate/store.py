"""The objects, their versions and their life: what etcd and the registry do in a real server.

An object in here is never changed in place: each write puts a new one, so readers need no copy.
"""

import itertools
import threading
import time
import uuid
from collections.abc import Callable, Iterable

from gpuwise.emulate import validate
from gpuwise.emulate.defaults import with_defaults
from gpuwise.emulate.history import Event, History
from gpuwise.emulate.immutable import check_update
from gpuwise.emulate.lifecycle import (
    carried_over,
    check_preconditions,
    half,
    name_suffix,
    namespace_named,
    orphans,
)
from gpuwise.emulate.managed import with_manager
from gpuwise.emulate.resources import BY_KIND, NAMESPACES, PODS, Resource
from gpuwise.emulate.status import ApiFailure, Object, already_exists, not_found, stale

Key = tuple[str, str]
Change = Callable[[Object], Object]

CONTROLLERS = "kube-controller-manager"


class ObjectStore:
    """Every object of the cluster, one counter for all versions.

    Args:
        clock: epoch seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.lock = threading.RLock()
        self.history = History()
        self._clock = clock
        self._objects: dict[Resource, dict[Key, Object]] = {}
        self._version = 1
        self._names = itertools.count(1)
        self._listeners: list[Callable[[], None]] = []

    @property
    def version(self) -> int:
        """The resourceVersion of the last write."""
        return self._version

    def now(self) -> str:
        """The clock as the API writes it."""
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._clock()))

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call something after each write, under the lock: it must be quick."""
        self._listeners.append(listener)

    def touch(self) -> None:
        """Wake the listeners without a write, so that they look up."""
        with self.lock:
            for listener in self._listeners:
                listener()

    def unsubscribe(self, listener: Callable[[], None]) -> None:
        """Take it back."""
        self._listeners.remove(listener)

    def get(self, resource: Resource, namespace: str, name: str) -> Object:
        """One object.

        Raises:
            ApiFailure: 404.
        """
        found = self._objects.get(resource, {}).get((namespace, name))
        if found is None:
            raise not_found(resource, name)
        return found

    def all(self, resource: Resource) -> list[Object]:
        """Every object of a kind, in the order of namespace and name."""
        kept = self._objects.get(resource, {})
        return [kept[key] for key in sorted(kept)]

    def load(self, items: Iterable[Object]) -> None:
        """Take objects as they are, with their uid, status and times: a cluster's past.

        Raises:
            ApiFailure: 404 for a kind that is not served, 422 for an object that no server would have taken.
        """
        with self.lock:
            for item in items:
                resource = BY_KIND.get((item["apiVersion"], item["kind"]))
                if resource is None:
                    raise ApiFailure(404, f"no such kind: {item['apiVersion']} {item['kind']}")
                metadata = {"namespace": "default"} | item["metadata"]
                born = self._born(resource, item | {"metadata": metadata})
                validate.check(resource, born)
                key = _key(born)
                self._put(resource, self._objects.get(resource, {}).get(key), born)
            self._found_namespaces()

    def clear(self) -> None:
        """Take everything away; the version goes on, so watchers see it all go."""
        with self.lock:
            for resource, kept in self._objects.items():
                for item in list(kept.values()):
                    self._put(resource, item, None)

    def create(
        self, resource: Resource, namespace: str, item: Object, *, manager: str, dry_run: bool = False
    ) -> Object:
        """Create one object.

        Raises:
            ApiFailure: 404 without its namespace, 409 if there is one of that name, 422 if it is not valid.
        """
        with self.lock:
            metadata = dict(item.get("metadata") or {})
            if resource.namespaced:
                metadata["namespace"] = self._home(namespace, metadata)
            if not metadata.get("name") and metadata.get("generateName"):
                metadata["name"] = f"{metadata['generateName']}{self.suffix()}"
            for field in ("uid", "resourceVersion", "creationTimestamp", "deletionTimestamp", "generation"):
                metadata.pop(field, None)
            fresh = item | {"metadata": metadata, "apiVersion": resource.api_version, "kind": resource.kind}
            if "status" in resource.subresources:
                fresh.pop("status", None)
            validate.check(resource, fresh)
            if (namespace if resource.namespaced else "", metadata["name"]) in self._objects.get(resource, {}):
                raise already_exists(resource, metadata["name"])
            born = with_manager(self._born(resource, fresh), manager=manager, subresource="", now=self.now())
            return born if dry_run else self._put(resource, None, born)

    def update(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        change: Change,
        *,
        manager: str = CONTROLLERS,
        subresource: str = "",
        dry_run: bool = False,
    ) -> Object:
        """Change one object, all or nothing; a change that changes nothing writes nothing.

        Args:
            resource: of which kind.
            namespace: where, "" for a kind without.
            name: which.
            change: from the present object to the wanted one; a resourceVersion that it sets is a precondition.
            manager: who writes, for managedFields.
            subresource: "" or "status": which half of the object is written.
            dry_run: check it and keep nothing.

        Raises:
            ApiFailure: 404, 409 for a stale resourceVersion, 422 if the result is not valid.
        """
        with self.lock:
            old = self.get(resource, namespace, name)
            wanted = change(old)
            metadata = dict(wanted.get("metadata") or {})
            if (
                metadata.get("resourceVersion", old["metadata"]["resourceVersion"])
                != old["metadata"]["resourceVersion"]
            ):
                raise stale(resource, name)
            new = half(resource, old, wanted | {"metadata": metadata}, subresource)
            if subresource != "status":
                check_update(resource, old, new)
                validate.check(resource, new)
            new = carried_over(resource, old, with_defaults(resource, new))
            if new == old:
                return old
            new = with_manager(new, manager=manager, subresource=subresource, now=self.now())
            return new if dry_run else self._put(resource, old, new)

    def delete(
        self, resource: Resource, namespace: str, name: str, options: Object | None = None, *, dry_run: bool = False
    ) -> Object:
        """Delete one object, or mark it: pods that run and objects with finalizers go later.

        Raises:
            ApiFailure: 404, or 409 for a precondition that does not hold.
        """
        options = options or {}
        with self.lock:
            old = self.get(resource, namespace, name)
            check_preconditions(resource, old, options.get("preconditions") or {})
            if dry_run:
                return old
            if orphans(resource, options):
                self._release(old["metadata"]["uid"])
            graceful = resource is PODS and (old.get("spec") or {}).get("nodeName")
            waits = graceful and options.get("gracePeriodSeconds") != 0
            if waits or old["metadata"].get("finalizers"):
                return self._mark(resource, old, options.get("gracePeriodSeconds"))
            return self.remove(resource, old)

    def remove(self, resource: Resource, old: Object) -> Object:
        """Take an object away at once; a namespace takes all that is in it along."""
        with self.lock:
            self._put(resource, old, None)
            if resource is NAMESPACES:
                for kind, kept in self._objects.items():
                    for (namespace, _), item in list(kept.items()):
                        if kind.namespaced and namespace == old["metadata"]["name"]:
                            self._put(kind, item, None)
        return old

    def bind(self, pod: Object, node: str, status: Object) -> None:
        """Give a pod its node and its status, which no update may do."""
        with self.lock:
            self._put(PODS, pod, pod | {"spec": pod["spec"] | {"nodeName": node}, "status": status})

    def suffix(self) -> str:
        """Five characters that no other name in this store ends with."""
        return name_suffix(next(self._names))

    def _found_namespaces(self) -> None:
        """Every object that was loaded has its namespace; default and kube-system are in every cluster."""
        kinds = [kind for kind in self._objects if kind.namespaced]
        named = {"default", "kube-system"} | {namespace for kind in kinds for namespace, _ in self._objects[kind]}
        for namespace in sorted(named - {name for _, name in self._objects.get(NAMESPACES, {})}):
            self._put(NAMESPACES, None, self._born(NAMESPACES, namespace_named(namespace)))

    def _home(self, namespace: str, metadata: Object) -> str:
        if metadata.get("namespace", namespace) != namespace:
            raise ApiFailure(
                400, "the namespace of the provided object does not match the namespace sent on the request"
            )
        self.get(NAMESPACES, "", namespace)
        return namespace

    def _born(self, resource: Resource, item: Object) -> Object:
        metadata = {"uid": str(uuid.uuid4()), "creationTimestamp": self.now()} | item["metadata"]
        if "spec" in item:
            metadata.setdefault("generation", 1)
        if not resource.namespaced:
            metadata.pop("namespace", None)
        return with_defaults(resource, item | {"metadata": metadata})

    def _release(self, uid: str) -> None:
        for resource, kept in self._objects.items():
            for item in list(kept.values()):
                owners = item["metadata"].get("ownerReferences") or []
                left = [owner for owner in owners if owner["uid"] != uid]
                if left != owners:
                    metadata = item["metadata"] | {"ownerReferences": left}
                    self._put(resource, item, item | {"metadata": metadata})

    def _mark(self, resource: Resource, old: Object, grace_s: int | None) -> Object:
        if "deletionTimestamp" in old["metadata"]:
            return old
        marks = {"deletionTimestamp": self.now()}
        grace = {"deletionGracePeriodSeconds": 30 if grace_s is None else grace_s} if resource is PODS else {}
        return self._put(resource, old, old | {"metadata": old["metadata"] | marks | grace})

    def _put(self, resource: Resource, old: Object | None, new: Object | None) -> Object:
        """Write, count and tell; the one place where the version moves."""
        with self.lock:
            self._version += 1
            kept = self._objects.setdefault(resource, {})
            # An object that was marked for deletion is gone with its last finalizer; pods go by the kubelet's word.
            if new is not None and "deletionTimestamp" in new["metadata"] and resource is not PODS:
                new = new if new["metadata"].get("finalizers") else None
            if new is not None:
                new = new | {"metadata": new["metadata"] | {"resourceVersion": str(self._version)}}
                kept[_key(new)] = new
            elif old is not None:
                del kept[_key(old)]
            self.history.add(Event(self._version, resource, old, new))
            for listener in self._listeners:
                listener()
            answer = new if new is not None else old
            assert answer is not None
            return answer


def _key(item: Object) -> Key:
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]
