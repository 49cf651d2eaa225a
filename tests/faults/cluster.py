"""The emulated API as a `ClusterWriter` in this process: the same verbs and errors as over HTTP, without threads."""

import json
from collections.abc import Callable, Mapping
from copy import copy, deepcopy

from gpuwise.cluster.answers import error_for
from gpuwise.emulate.adoption import adopt_loaded
from gpuwise.emulate.api import Api
from gpuwise.emulate.history import History
from gpuwise.emulate.loop import STEPS
from gpuwise.emulate.options import list_options, write_options
from gpuwise.emulate.registry import Registry
from gpuwise.emulate.removal import delete
from gpuwise.emulate.resources import CUSTOM, NODES
from gpuwise.emulate.status import ApiFailure, NoSuchPath
from gpuwise.emulate.store import ObjectStore
from gpuwise.emulate.target import Target, find, request_info
from gpuwise.emulate.writes import Writing
from gpuwise.enact.partition import CONFIG, STATE
from gpuwise.model.errors import Gone

_MOST_PASSES = 50


class VirtualCluster:
    """Objects, API and controllers of one cluster on a virtual clock.

    Args:
        objects: what exists at the start.
        clock: epoch seconds.
    """

    def __init__(self, objects, clock: Callable[[], float]) -> None:
        self.store = ObjectStore(clock, Registry(CUSTOM))
        self.api = Api(self.store)
        self._settled = 0
        self.failing_layouts: frozenset[str] = frozenset()
        self.store.load(objects)
        adopt_loaded(self.store)
        self.settle()

    def copy(self, clock: Callable[[], float]) -> "VirtualCluster":
        """Another cluster in the same state; objects are never changed in place, so both may have them."""
        made = VirtualCluster((), clock)
        made.store.__dict__.update(
            _objects={resource: dict(kept) for resource, kept in self.store._objects.items()},
            _sorted={},
            _version=self.store._version,
            _names=copy(self.store._names),
            _count=copy(self.store._count),
            history=History(self.store._version),
            scratch=deepcopy(self.store.scratch),
            collectable=self.store.collectable,
            due_s=self.store.due_s,
        )
        made._settled = self._settled
        return made

    def settle(self) -> None:
        """Run the controllers until none of them changes anything."""
        due_s = self.store.due_s
        if self.store.version == self._settled and (due_s is None or due_s > self.store.epoch_s):
            return
        for _ in range(_MOST_PASSES):
            before = self.store.version
            self.store.due_s = None
            for step in STEPS:
                step(self.store)
            self._report_layouts()
            if self.store.version == before:
                self._settled = before
                return
        raise AssertionError(f"the emulated controllers still had work after {_MOST_PASSES} passes")

    def _report_layouts(self) -> None:
        """What NVIDIA's MIG manager does: it reports on each layout for which there is no report."""
        for node in self.store.all(NODES):
            labels = node["metadata"].get("labels") or {}
            if CONFIG in labels and STATE not in labels:
                report = {STATE: "failed" if labels[CONFIG] in self.failing_layouts else "success"}
                metadata = node["metadata"] | {"labels": labels | report}
                name = node["metadata"]["name"]
                self.store.update(NODES, "", name, lambda item, new=metadata: item | {"metadata": new}, manager="mig")

    def target(self, method: str, path: str) -> Target:
        return find(self.store.registry, request_info(method, path, watch=False), method)

    def peek(self, path: str):
        """The stored object at a path, None if there is none."""
        target = self.target("GET", path)
        return self.store.peek(self.api.kept(target), target.namespace, target.name)

    def delete(self, path: str) -> None:
        """Delete an object as a person would."""
        delete(self.api, self.target("DELETE", path), {"propagationPolicy": "Background"}, [])


class InProcessClient:
    """The `ClusterWriter` port on a virtual cluster. Errors become the product's errors as they do over HTTP."""

    def __init__(self, cluster: VirtualCluster, user: str = "gpuwise") -> None:
        self._cluster = cluster
        self._user = user

    def list(self, path, *, label_selector="", field_selector=""):
        query = {"labelSelector": label_selector, "fieldSelector": field_selector}
        options = list_options({key: [value] for key, value in query.items() if value}, watch=False)
        return self._asked("GET", path, lambda target: self._cluster.api.list(target, options))["items"]

    def list_optional(self, path, *, label_selector="", field_selector=""):
        try:
            return self.list(path, label_selector=label_selector, field_selector=field_selector)
        except Gone:
            return []

    def get(self, path):
        return self._asked("GET", path, lambda target: self._cluster.api.get(target, ""))

    def may(self, access):
        return True

    def create(self, path, body):
        writing = self._writing("CreateOptions", body, "application/json")
        return self._asked("POST", path, lambda target: self._cluster.api.create(target, writing))

    def patch(self, path, body, *, content_type, dry_run=False):
        writing = self._writing("PatchOptions", body, content_type, dry_run=dry_run)
        return self._asked("PATCH", path, lambda target: self._cluster.api.patch(target, writing)[0])

    def delete(self, path, body=None):
        return self._asked("DELETE", path, lambda target: delete(self._cluster.api, target, body or {}, []))

    def _writing(self, kind: str, body: Mapping, content_type: str, *, dry_run: bool = False) -> Writing:
        query = {"fieldManager": [self._user]} | ({"dryRun": ["All"]} if dry_run else {})
        return Writing(json.dumps(body).encode(), content_type, write_options(kind, query, apply=False), self._user)

    def _asked(self, method, path, verb):
        try:
            return verb(self._cluster.target(method, path))
        except NoSuchPath as failure:
            raise error_for(f"{method} {path}", 404, {"message": failure.message}) from failure
        except ApiFailure as failure:
            raise error_for(f"{method} {path}", failure.code, failure.status()) from failure
