"""CustomResourceDefinitions: established at once, and deleted together with their objects."""

from gpuwise.emulate.resources import CRDS, Resource
from gpuwise.emulate.status import Object
from gpuwise.emulate.store import ObjectStore


def run_definitions(store: ObjectStore) -> None:
    """Serve new definitions, and delete terminating ones."""
    for definition in store.all(CRDS):
        spec = definition["spec"]
        if "deletionTimestamp" in definition["metadata"]:
            _end(store, definition)
        elif not (definition.get("status") or {}).get("storedVersions"):
            store.registry.add(*rows_of(spec))
            store.update(CRDS, "", definition["metadata"]["name"], lambda item: item | _established(store, item))


def rows_of(spec: Object) -> list[Resource]:
    """The resources that a definition serves: one per served version, stored as the storage version."""
    stored = next(version["name"] for version in spec["versions"] if version.get("storage"))
    names, rows = spec["names"], []
    for version in spec["versions"]:
        if not (version.get("served") or version["name"] == stored):
            continue
        place = spec["group"], stored, names["plural"]
        row = Resource(
            spec["group"],
            version["name"],
            names["plural"],
            names["kind"],
            namespaced=spec.get("scope") == "Namespaced",
            subresources=frozenset(version.get("subresources") or {}),
            builtin=False,
            short=next(iter(names.get("shortNames") or ()), ""),
            unconditional=False,
            other_version_of=None if version["name"] == stored else place,
            definition=version,
        )
        rows.append(row)
    return rows


def _established(store: ObjectStore, definition: Object) -> Object:
    spec, now = definition["spec"], store.now()
    facts = (
        ("NamesAccepted", "NoConflicts", "no conflicts found"),
        ("Established", "InitialNamesAccepted", "the initial names have been accepted"),
    )
    conditions = [
        {"type": fact, "status": "True", "lastTransitionTime": now, "reason": reason, "message": message}
        for fact, reason, message in facts
    ]
    stored = [version["name"] for version in spec["versions"] if version.get("storage")]
    status = {"conditions": conditions, "acceptedNames": spec["names"], "storedVersions": stored}
    return {"status": status}


def _end(store: ObjectStore, definition: Object) -> None:
    spec = definition["spec"]
    left = []
    for row in rows_of(spec):
        if row.other_version_of is None:
            left += store.all(row)
            for item in list(store.all(row)):
                if not item["metadata"].get("finalizers"):
                    store.remove(row, item)
    if not any(item["metadata"].get("finalizers") for item in left):
        store.registry.remove(spec["group"], spec["names"]["plural"])
        bare = {key: value for key, value in definition["metadata"].items() if key != "finalizers"}
        store.update(CRDS, "", definition["metadata"]["name"], lambda item: item | {"metadata": bare})
