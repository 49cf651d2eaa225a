"""The verbs: what each request does to the store. No HTTP in here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gpuwise.emulate.budgets import evict
from gpuwise.emulate.paging import Page, Pages
from gpuwise.emulate.patch import apply_patch
from gpuwise.emulate.resources import Resource
from gpuwise.emulate.scale import scale_of, with_scale
from gpuwise.emulate.selectors import field_predicate, label_predicate
from gpuwise.emulate.status import ApiFailure, Object, conflict
from gpuwise.emulate.store import ObjectStore
from gpuwise.emulate.target import Target


@dataclass(frozen=True, slots=True)
class Write:
    """What a writing request brings.

    Attributes:
        body: the JSON, None without one.
        content_type: its media type.
        manager: who writes.
        dry_run: check it and keep nothing.
    """

    body: Any
    content_type: str
    manager: str
    dry_run: bool

    def object(self) -> Object:
        """The body as an object.

        Raises:
            ApiFailure: 400.
        """
        if not isinstance(self.body, dict):
            raise ApiFailure(400, "the object provided is unrecognized: the body must be a JSON object")
        return self.body


@dataclass(slots=True)
class Api:
    """The verbs over one store."""

    store: ObjectStore
    pages: Pages = field(default_factory=Pages)

    def matcher(self, target: Target, query: Mapping[str, str]) -> Callable[[Object], bool]:
        """The filter that a list or a watch asks for."""
        labels = label_predicate(query.get("labelSelector", ""))
        fields = field_predicate(query.get("fieldSelector", ""), target.resource)

        def matches(item: Object) -> bool:
            inside = not target.namespace or item["metadata"].get("namespace") == target.namespace
            return inside and labels(item) and fields(item)

        return matches

    def list(self, target: Target, query: Mapping[str, str]) -> Object:
        """A page of a collection."""
        limit = int(query.get("limit") or 0)
        if query.get("continue"):
            page = self.pages.next(query["continue"], limit)
        else:
            matches = self.matcher(target, query)
            with self.store.lock:
                items = [item for item in self.store.all(target.resource) if matches(item)]
                page = self.pages.first(items, self.store.version, limit)
        selected = bool(query.get("labelSelector") or query.get("fieldSelector"))
        return _list(target.resource, page, count=not selected)

    def get(self, target: Target) -> Object:
        """One object, or its scale."""
        item = self.store.get(target.resource, target.namespace, target.name)
        return scale_of(item) if target.subresource == "scale" else item

    def create(self, target: Target, write: Write) -> Object:
        """A new object, or an eviction."""
        body = write.object()
        if target.subresource == "eviction":
            pod = self.store.get(target.resource, target.namespace, target.name)
            evict(self.store, pod, body.get("deleteOptions"), dry_run=write.dry_run)
            return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
        if target.name:
            raise ApiFailure(405, "the server does not allow this method on the requested resource")
        _same_kind(target.resource, body)
        return self.store.create(target.resource, target.namespace, body, manager=write.manager, dry_run=write.dry_run)

    def update(self, target: Target, write: Write) -> Object:
        """Replace an object, its status or its scale."""
        body = write.object()
        if target.subresource != "scale":
            _same_kind(target.resource, body)
        if (body.get("metadata") or {}).get("name", target.name) != target.name:
            raise ApiFailure(400, "the name of the object does not match the name on the URL")

        def change(old: Object) -> Object:
            metadata = body.get("metadata") or {}
            if metadata.get("uid", old["metadata"]["uid"]) != old["metadata"]["uid"]:
                raise conflict(target.resource, target.name, "Precondition failed: UID in precondition")
            if target.subresource == "scale":
                return with_scale(target.resource, old, body)
            named = {"name": target.name} | ({"namespace": target.namespace} if target.namespace else {})
            return body | {"metadata": metadata | named}

        return self._change(target, write, change)

    def patch(self, target: Target, write: Write) -> Object:
        """Patch an object, its status or its scale."""

        def change(old: Object) -> Object:
            if target.subresource == "scale":
                patched = apply_patch(target.resource, scale_of(old), write.body, write.content_type)
                return with_scale(target.resource, old, patched)
            return apply_patch(target.resource, old, write.body, write.content_type)

        return self._change(target, write, change)

    def _change(self, target: Target, write: Write, change: Callable[[Object], Object]) -> Object:
        item = self.store.update(
            target.resource,
            target.namespace,
            target.name,
            change,
            manager=write.manager,
            subresource="" if target.subresource == "scale" else target.subresource,
            dry_run=write.dry_run,
        )
        return scale_of(item) if target.subresource == "scale" else item

    def delete(self, target: Target, options: Object | None, *, dry_run: bool) -> Object:
        """Delete one object."""
        gone = self.store.delete(target.resource, target.namespace, target.name, options, dry_run=dry_run)
        if not target.resource.builtin or "deletionTimestamp" in gone["metadata"]:
            return gone
        details = {"name": target.name, "kind": target.resource.plural, "uid": gone["metadata"]["uid"]}
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}

    def delete_all(self, target: Target, query: Mapping[str, str], options: Object | None, *, dry_run: bool) -> Object:
        """Delete every object of a collection that the selectors name."""
        matches = self.matcher(target, query)
        with self.store.lock:
            items = [item for item in self.store.all(target.resource) if matches(item)]
            for item in items:
                key = item["metadata"].get("namespace", ""), item["metadata"]["name"]
                self.store.delete(target.resource, *key, options, dry_run=dry_run)
            return _list(target.resource, Page(items, self.store.version, "", 0), count=False)


def _same_kind(resource: Resource, body: Object) -> None:
    kind, version = body.get("kind", resource.kind), body.get("apiVersion", resource.api_version)
    if (kind, version) != (resource.kind, resource.api_version):
        raise ApiFailure(
            400, f"{version} {kind} in the body is not the {resource.api_version} {resource.kind} of the path"
        )


def _list(resource: Resource, page: Page, *, count: bool) -> Object:
    metadata: Object = {"resourceVersion": str(page.version)}
    if page.token:
        metadata["continue"] = page.token
        if count:
            metadata["remainingItemCount"] = page.remaining
    # The items of a built-in kind's list carry no kind and apiVersion of their own; a custom resource's do.
    hidden = ("kind", "apiVersion") if resource.builtin else ()
    items = [{field: value for field, value in item.items() if field not in hidden} for item in page.items]
    return {
        "kind": f"{resource.kind}List",
        "apiVersion": resource.api_version,
        "metadata": metadata,
        "items": items,
    }
