"""The garbage collector: what was made for an owner that is no more goes too."""

from gpuwise.emulate.pods import is_terminating, owner_of
from gpuwise.emulate.resources import BY_KIND, RESOURCES
from gpuwise.emulate.store import ObjectStore


def run_garbage_collector(store: ObjectStore) -> None:
    """Delete each object whose controlling owner, of a kind that is served, is not there any more."""
    alive = {item["metadata"]["uid"] for resource in RESOURCES for item in store.all(resource)}
    for resource in RESOURCES:
        for item in store.all(resource):
            owner = owner_of(item)
            if owner is None or owner["uid"] in alive or is_terminating(item):
                continue
            if (owner["apiVersion"], owner["kind"]) in BY_KIND:
                key = item["metadata"].get("namespace", ""), item["metadata"]["name"]
                store.delete(resource, *key, {"propagationPolicy": "Background"})
