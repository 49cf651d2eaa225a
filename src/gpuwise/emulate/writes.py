"""Creates and updates as in a real registry: decoded, defaulted, admitted, validated, stored."""

from collections.abc import Callable
from dataclasses import dataclass, field

from gpuwise.emulate import admission, openapi, policies
from gpuwise.emulate.admission import Attempt
from gpuwise.emulate.causes import Cause, wrong
from gpuwise.emulate.immutable import check_update
from gpuwise.emulate.lifecycle import with_server_metadata, written_part
from gpuwise.emulate.managed import with_manager
from gpuwise.emulate.options import WriteOptions, bad_version
from gpuwise.emulate.resources import DEPLOYMENTS, EVENTS, NAMESPACES, NODES, Resource
from gpuwise.emulate.scale import replicas_causes, scale_of
from gpuwise.emulate.schema import empty_status
from gpuwise.emulate.status import (
    ApiFailure,
    Object,
    already_exists,
    conflict,
    invalid,
    invalid_object,
    stale,
)
from gpuwise.emulate.store import ObjectStore
from gpuwise.emulate.validate import check, immutable_meta, meta_causes, name_causes
from gpuwise.emulate.validate_others import event_namespace

Change = Callable[[Object], Object]
_SERVER_SET = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "selfLink")


@dataclass(slots=True)
class Writing:
    """One write request.

    Attributes:
        raw: the body.
        media: its Content-Type header.
        options: query parameters.
        agent: name from the User-Agent header.
        lenient: an Event sent as core/v1, which has fewer checks.
        warnings: warnings for the client.
    """

    raw: bytes
    media: str
    options: WriteOptions
    agent: str
    lenient: bool = False
    warnings: list[str] = field(default_factory=list)

    @property
    def manager(self) -> str:
        """The field manager for managedFields."""
        return self.options.manager or self.agent


def create(store: ObjectStore, resource: Resource, namespace: str, item: Object, writing: Writing) -> Object:
    """Create one object.

    Raises:
        ApiFailure: 404 if the namespace is missing, 409 if the name exists, 403 or 422 if the object is rejected.
    """
    with store.lock:
        metadata = {key: value for key, value in item["metadata"].items() if key not in _SERVER_SET}
        if resource.namespaced:
            metadata["namespace"] = _namespace_of(namespace, metadata)
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = f"{metadata['generateName']}{store.suffix()}"
        version = metadata.pop("resourceVersion", "")
        fresh = item | {"metadata": metadata}
        if "status" in resource.subresources and resource is not NODES:
            fresh.pop("status", None)
            fresh |= {"status": empty_status(resource.schema)} if resource.builtin else {}
        if resource.namespaced:
            admission.open_namespace(store, resource, namespace, str(metadata.get("name") or ""))
        if not metadata.get("name"):
            raise invalid_object(resource, "", list(name_causes(resource, metadata)))
        attempt = Attempt(resource, "CREATE", namespace, "", writing.options.dry_run, writing.warnings)
        created = admission.mutate_new(store, attempt, store.prepared(resource, fresh))
        created = policies.mutate(store, resource, "CREATE", "", None, created)
        _check_new(resource, created, lenient=writing.lenient)
        if version not in ("", "0"):
            raise ApiFailure(500, "resourceVersion should not be set on objects to be created")
        there = store.peek(resource, metadata.get("namespace", ""), metadata["name"])
        if there is not None:
            raise _taken(resource, there)
        admission.validate(store, attempt, None, created)
        created = _signed(store, resource, created, None, writing, "")
        return created if writing.options.dry_run else store.put(resource, None, created)


def _check_new(resource: Resource, created: Object, *, lenient: bool) -> None:
    if resource is EVENTS and lenient:
        causes = [
            *name_causes(resource, created["metadata"]),
            *meta_causes(created["metadata"]),
            *event_namespace(created),
        ]
        if causes:
            raise invalid_object(resource, created["metadata"]["name"], causes)
        return
    if resource.builtin:
        check(resource, created)
        return
    causes = [
        *name_causes(resource, created["metadata"]),
        *meta_causes(created["metadata"]),
        *custom_causes(resource, created),
    ]
    if causes:
        raise invalid_object(resource, created["metadata"]["name"], causes)


def custom_causes(resource: Resource, item: Object) -> list[Cause]:
    """Problems of a custom resource according to its definition."""
    schema = openapi.schema_of(resource.definition)
    return [*(openapi.check(schema, item) if schema else ()), *replicas_causes(resource, item)]


def _taken(resource: Resource, there: Object) -> ApiFailure:
    failure = already_exists(resource, there["metadata"]["name"])
    if resource is NAMESPACES and "deletionTimestamp" in there["metadata"]:
        failure.message = f"object is being deleted: {failure.message}"
    return failure


def _namespace_of(namespace: str, metadata: Object) -> str:
    if metadata.get("namespace", namespace) != namespace:
        raise ApiFailure(400, "the namespace of the provided object does not match the namespace sent on the request")
    return namespace


def check_identity(resource: Resource, namespace: str, name: str, metadata: Object) -> None:
    """Check that a body names the object of its path.

    Raises:
        ApiFailure: 400.
    """
    if resource.namespaced:
        _namespace_of(namespace, metadata)
    given = metadata.get("name") or ""
    if not given:
        raise ApiFailure(400, f"the name of the object ({name} based on URL) was undeterminable: name must be provided")
    if given and given != name:
        raise ApiFailure(400, f"the name of the object ({given}) does not match the name on the URL ({name})")


def check_version(resource: Resource, old: Object, version: str) -> None:
    """Check the resourceVersion of a write; "" and "0" are not preconditions.

    Raises:
        ApiFailure: 500 if it is not a number, 409 if it is not the current one.
    """
    if version in ("", "0"):
        return
    problem = bad_version(version)
    if problem:
        raise ApiFailure(500, problem)
    if version != old["metadata"]["resourceVersion"]:
        raise stale(resource, old["metadata"]["name"])


def check_put(resource: Resource, old: Object, metadata: Object, *, scale: bool = False) -> None:
    """Check uid and resourceVersion of an update.

    Raises:
        ApiFailure: 409 or 422.
    """
    have, name = old["metadata"], old["metadata"]["name"]
    uid, version = metadata.get("uid") or have["uid"], metadata.get("resourceVersion") or ""
    if uid != have["uid"]:
        prefix = "" if scale else "/registry"
        place = {"nodes": "minions"}.get(resource.plural, resource.plural)
        path = "/".join(filter(None, (resource.group if not resource.builtin else "", place, have.get("namespace"))))
        why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {have['uid']}"
        text = f"StorageError: invalid object, Code: 4, Key: {prefix}/{path}/{name}, ResourceVersion: 0"
        raise conflict(resource, name, f"{text}, AdditionalErrorMsg: {why}")
    if version in ("", "0") and not resource.unconditional and not scale:
        cause = wrong("metadata.resourceVersion", 0, "must be specified for an update")
        raise _invalid_plural(resource, name, cause)
    check_version(resource, old, version)


def _invalid_plural(resource: Resource, name: str, cause: Cause) -> ApiFailure:
    return invalid(resource.plural, resource.group, name, [cause])


def revise(
    store: ObjectStore,
    resource: Resource,
    old: Object,
    wanted: Object,
    writing: Writing,
    *,
    subresource: str = "",
    scale: bool = False,
) -> Object:
    """Replace an object by its validated new version; an unchanged object is not written.

    Args:
        store: the store.
        resource: the object's resource.
        old: the current object.
        wanted: the requested object, decoded with its schema.
        writing: the request.
        subresource: "" or "status": which part of the object is written.
        scale: the change uses the scale subresource.

    Raises:
        ApiFailure: 403 or 422.
    """
    fixed = list(immutable_meta(old["metadata"], wanted["metadata"]))
    new = written_part(resource, old, wanted, subresource)
    if subresource != "status":
        new = store.prepared(resource, new) if resource.builtin else new
        new = policies.mutate(store, resource, "UPDATE", subresource, old, new)
    new = with_server_metadata(resource, old, new)
    if subresource != "status":
        new = _annotated(resource, old, new)
        # The server's own fields are restored by now, but changes of them by the request must be reported.
        checked = new | {"metadata": new["metadata"] | _changed_metadata(wanted["metadata"], fixed)}
        _check_changed(resource, old, checked)
    elif fixed:
        raise invalid_object(resource, old["metadata"]["name"], fixed * 2)
    if new == old:
        return old
    attempt = Attempt(
        resource,
        "UPDATE",
        old["metadata"].get("namespace", ""),
        "scale" if scale else subresource,
        writing.options.dry_run,
        writing.warnings,
    )
    before, after = (scale_of(resource, old), scale_of(resource, new)) if scale else (old, new)
    admission.validate(store, attempt, before, after)
    new = _signed(store, resource, new, old, writing, subresource)
    return new if writing.options.dry_run else store.put(resource, old, new)


def _signed(
    store: ObjectStore, resource: Resource, new: Object, old: Object | None, writing: Writing, subresource: str
) -> Object:
    return with_manager(
        new,
        manager=writing.manager,
        subresource=subresource,
        now=store.now(),
        old=old,
        fields=not resource.builtin,
    )


def _annotated(resource: Resource, old: Object, new: Object) -> Object:
    """A change of a Deployment's annotations counts as a change of its generation."""
    before, after = old["metadata"], new["metadata"]
    same = (before.get("annotations") or {}) == (after.get("annotations") or {})
    if resource is not DEPLOYMENTS or same or before.get("generation") != after.get("generation"):
        return new
    return new | {"metadata": after | {"generation": after["generation"] + 1}}


def _changed_metadata(metadata: Object, fixed: list[Cause]) -> Object:
    fields = {cause.field.removeprefix("metadata.") for cause in fixed}
    return {field: metadata[field] for field in fields if field in metadata}


def _check_changed(resource: Resource, old: Object, new: Object) -> None:
    if resource.builtin:
        check_update(resource, old, new)
        return
    causes = [
        *list(meta_causes(new["metadata"])) * 2,
        *list(immutable_meta(old["metadata"], new["metadata"])) * 2,
        *custom_causes(resource, new),
    ]
    if causes:
        raise invalid_object(resource, old["metadata"]["name"], causes)
