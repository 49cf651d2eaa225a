"""The verbs: the effect of each request on the store, without HTTP."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from gpuwise.emulate import apply, writes
from gpuwise.emulate.bodies import Body, media_type, read, read_patch
from gpuwise.emulate.budgets import evict
from gpuwise.emulate.intake import read_object, read_patched
from gpuwise.emulate.options import ListOptions, bad_version
from gpuwise.emulate.paging import NOW, Page, make_token, read_token
from gpuwise.emulate.patch import APPLY, apply_patch, check_media
from gpuwise.emulate.resources import CORE_EVENTS, NAMESPACES, Resource
from gpuwise.emulate.scale import SCALES, scale_of, with_scale
from gpuwise.emulate.selectors import field_predicate, label_predicate
from gpuwise.emulate.status import ApiFailure, Object, expired, not_emulated, not_found, too_large
from gpuwise.emulate.store import ObjectStore, key_of
from gpuwise.emulate.target import Target
from gpuwise.emulate.views import shown
from gpuwise.emulate.writes import Writing

_GONE = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without"
    " the continue parameter, or use the continue token in this response to retrieve the remainder of the results."
    " Continuing with the provided token results in an inconsistent list - objects that were created, modified, or"
    " deleted between the time the first chunk was returned and now may show up in the list."
)
_EVICTION = Resource("policy", "v1", "evictions", "Eviction", schema="policy.v1.Eviction")


@dataclass(slots=True)
class Api:
    """The verbs on one store."""

    store: ObjectStore

    def matcher(self, target: Target, options: ListOptions) -> Callable[[Object], bool]:
        """The filter of a list or watch request."""
        labels = label_predicate(options.labels)
        fields = field_predicate(options.fields, target.resource)

        def matches(item: Object) -> bool:
            inside = not target.namespace or item["metadata"].get("namespace") == target.namespace
            return inside and labels(item) and fields(item)

        return matches

    def kept(self, target: Target) -> Resource:
        """The resource under which the target's objects are stored."""
        return self.store.registry.kept(target.resource)

    def list(self, target: Target, options: ListOptions) -> Object:
        """A page of a collection."""
        matches = self.matcher(target, options)
        with self.store.lock:
            page = self._page(target, options, matches)
        return _list(target.resource, page)

    def _page(self, target: Target, options: ListOptions, matches: Callable[[Object], bool]) -> Page:
        version, after = self._version(options)
        resource = self.kept(target)
        items = self.store.all(resource) if version == self.store.version else self.store.past(resource, version)
        inside = [item for item in items if not target.namespace or item["metadata"]["namespace"] == target.namespace]
        found = [item for item in inside if (after is None or key_of(item) > after) and matches(item)]
        # The watch cache, which answers at version 0, does not support paging.
        limit = 0 if options.version == "0" else options.limit
        if not limit:
            return Page(found, version, "", None)
        selected = bool(options.labels or options.fields)
        # With a selector the server does not know whether any of the remaining objects match.
        full = len(found) > limit or (selected and len(found) == limit and inside[-1] is not found[-1])
        if not found or not full:
            return Page(found, version, "", None)
        token = make_token(version, *key_of(found[limit - 1]))
        remaining = None if selected else len(found) - limit
        return Page(found[:limit], version, token, remaining)

    def _version(self, options: ListOptions) -> tuple[int, tuple[str, str] | None]:
        """The version of a list, and the object after which it continues."""
        now, history = self.store.version, self.store.history
        if options.token:
            version, namespace, name = read_token(options.token)
            if options.version not in ("", "0"):
                raise ApiFailure(400, "specifying resource version is not allowed when using continue")
            if version != NOW and not history.lists(version):
                raise expired(_GONE, token=make_token(NOW, namespace, name))
            return now if version == NOW else version, (namespace, name)
        if options.version in ("", "0"):
            return now, None
        problem = bad_version(options.version)
        if problem:
            text = f'resourceVersion: Invalid value: "{options.version}": {problem}'
            raise ApiFailure(400, f"invalid resource version: {text}")
        version = int(options.version)
        if version > now:
            raise too_large(options.version, now)
        if options.match != "Exact":
            return now, None
        if not history.lists(version):
            raise expired("The resourceVersion for the provided list is too old.")
        return version, None

    def get(self, target: Target, version: str) -> Object:
        """One object, or its scale."""
        problem = bad_version(version) if version else None
        if problem:
            raise ApiFailure(500, f'resourceVersion: Invalid value: "{version}": {problem}')
        if version and int(version) > self.store.version:
            raise too_large(version, self.store.version)
        item = self._stored(target)
        if target.subresource == "log":
            raise not_emulated("logs")
        return scale_of(target.resource, item) if target.subresource == "scale" else shown(target.resource, item)

    def _stored(self, target: Target) -> Object:
        found = self.store.peek(self.kept(target), target.namespace, target.name)
        if found is None:
            raise not_found(target.resource, target.name)
        return found

    def create(self, target: Target, writing: Writing) -> Object:
        """Create an object, an eviction or a binding."""
        if target.subresource == "eviction":
            return self._evict(target, writing)
        if target.subresource == "binding":
            return self._bind(target, writing)
        body = read(writing.raw, writing.media, target.resource.kind)
        item = self._read(target.resource, body, writing)
        writing.lenient = target.resource is CORE_EVENTS
        made = writes.create(self.store, self.kept(target), target.namespace, item, writing)
        return shown(target.resource, made)

    def _read(self, resource: Resource, body: Body, writing: Writing) -> Object:
        return read_object(
            self.store.registry,
            resource,
            body,
            validation=writing.options.validation,
            warnings=writing.warnings,
        )

    def _evict(self, target: Target, writing: Writing) -> Object:
        body = read(writing.raw, writing.media, "Eviction")
        if body.value.get("apiVersion") == "policy/v1beta1":
            body = replace(body, value=body.value | {"apiVersion": "policy/v1"})
        eviction = self._read(_EVICTION, body, writing)
        if eviction["metadata"].get("name") != target.name:
            raise ApiFailure(400, "name in URL does not match name in Eviction object")
        if self.store.peek(NAMESPACES, "", target.namespace) is None:
            raise not_found(NAMESPACES, target.namespace)
        options = eviction.get("deleteOptions") or {}
        dry_run = writing.options.dry_run or options.get("dryRun") == ["All"]
        evict(self.store, self._stored(target), options, dry_run=dry_run)
        return success(201)

    def _bind(self, target: Target, writing: Writing) -> Object:
        pod, body = self._stored(target), read(writing.raw, writing.media, "Binding").value
        node = (body.get("target") or {}).get("name", "")
        if not node:
            raise ApiFailure(400, "Binding target is required")
        if pod["spec"].get("nodeName"):
            text = f'pod {target.name} is already assigned to node "{pod["spec"]["nodeName"]}"'
            details = {"name": target.name, "kind": "pods/binding"}
            text = f'Operation cannot be fulfilled on pods/binding "{target.name}": {text}'
            raise ApiFailure(409, text, details=details)
        if not writing.options.dry_run:
            self.store.bind(pod, node, pod["status"])
        return success(201)

    def update(self, target: Target, writing: Writing) -> tuple[Object, int]:
        """Replace an object, its status or its scale; returns the object and the HTTP status."""
        resource = self.kept(target)
        if target.subresource in ("finalize", "resize"):
            raise not_emulated(f"an update of {target.subresource}")
        scale = target.subresource == "scale"
        body = read(writing.raw, writing.media, "Scale" if scale else target.resource.kind)
        item = self._read(SCALES if scale else target.resource, body, writing)
        writes.check_identity(resource, target.namespace, target.name, item["metadata"])
        with self.store.lock:
            old = self.store.peek(resource, target.namespace, target.name)
            if old is None:
                if target.resource.made_by_update and not target.subresource:
                    made = writes.create(self.store, resource, target.namespace, item, writing)
                    return shown(target.resource, made), 201
                raise not_found(target.resource, target.name)
            writes.check_put(target.resource, old, item["metadata"], scale=scale)
            if scale:
                new = self._scaled(target, old, item, writing)
                return scale_of(target.resource, new), 200
            new = writes.revise(self.store, resource, old, item, writing, subresource=target.subresource)
        return shown(target.resource, new), 200

    def _scaled(self, target: Target, old: Object, scale: Object, writing: Writing) -> Object:
        wanted = with_scale(target.resource, old, scale)
        return writes.revise(self.store, self.kept(target), old, wanted, writing, scale=True)

    def patch(self, target: Target, writing: Writing) -> tuple[Object, int]:
        """Patch an object, its status or its scale; returns the object and the HTTP status."""
        media = media_type(writing.media)
        check_media(target.resource, media)
        body = read_patch(writing.raw, media)
        resource = self.kept(target)
        with self.store.lock:
            if media == APPLY:
                return apply.apply(self.store, target, body, writing)
            old = self._stored(target)
            if target.subresource == "resize":
                raise not_emulated("resizing a pod")
            if target.subresource == "scale":
                return scale_of(target.resource, self._patch_scale(target, old, body, writing, media)), 200
            seen = shown(target.resource, old)
            patched = apply_patch(target.resource.schema, seen, body, media)
            item = read_patched(
                target.resource,
                seen,
                patched,
                validation=writing.options.validation,
                warnings=writing.warnings,
            )
            self._check_patched(target, old, item["metadata"])
            new = writes.revise(self.store, resource, old, item, writing, subresource=target.subresource)
        return shown(target.resource, new), 200

    def _check_patched(self, target: Target, old: Object, metadata: Object) -> None:
        writes.check_identity(target.resource, target.namespace, target.name, metadata)
        writes.check_version(target.resource, old, metadata.get("resourceVersion") or "")

    def _patch_scale(self, target: Target, old: Object, body: object, writing: Writing, media: str) -> Object:
        seen = scale_of(target.resource, old)
        patched = apply_patch(SCALES.schema, seen, body, media)
        scale = read_patched(SCALES, seen, patched, validation=writing.options.validation, warnings=writing.warnings)
        self._check_patched(target, old, scale["metadata"])
        return self._scaled(target, old, scale, writing)


def success(code: int = 0, details: Object | None = None) -> Object:
    """The Status of a successful request."""
    found: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
    return found | ({"details": details} if details else {}) | ({"code": code} if code else {})


def _list(resource: Resource, page: Page) -> Object:
    metadata: Object = {"resourceVersion": str(page.version)}
    if not resource.builtin:
        metadata["continue"] = ""
    if page.token:
        metadata["continue"] = page.token
    if page.remaining is not None:
        metadata["remainingItemCount"] = page.remaining
    # The items of a built-in list omit kind and apiVersion; those of custom resources include them.
    hidden = ("kind", "apiVersion") if resource.builtin else ()
    items = [
        {field: value for field, value in shown(resource, item).items() if field not in hidden} for item in page.items
    ]
    return {
        "kind": f"{resource.kind}List",
        "apiVersion": resource.api_version,
        "metadata": metadata,
        "items": items,
    }


def list_of(resource: Resource, items: list[Object], version: int) -> Object:
    """A list of objects, as returned by deletecollection."""
    return _list(resource, Page(items, version, "", None))
