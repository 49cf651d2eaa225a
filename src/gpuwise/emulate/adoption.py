"""Sets the fields that controllers would have written to objects loaded as a cluster's past."""

from gpuwise.emulate.deployments import bare_template, revision
from gpuwise.emulate.pods import HASH_LABEL, REVISION_LABEL, digest, owned
from gpuwise.emulate.resources import DEPLOYMENTS, PODS, REPLICASETS, STATEFULSETS
from gpuwise.emulate.selectors import labels_of
from gpuwise.emulate.statefulsets import revision as statefulset_revision
from gpuwise.emulate.status import Object
from gpuwise.emulate.store import ObjectStore


def adopt_loaded(store: ObjectStore) -> None:
    """Treat running pods as created from the current templates, so that loading a fleet starts no rollout.

    A Deployment's newest ReplicaSet gets its template; a StatefulSet's pods get its revision label.
    """
    with store.lock:
        sets = owned(store.all(REPLICASETS))
        for deployment in store.all(DEPLOYMENTS):
            _agree(store, deployment, sets.get(deployment["metadata"]["uid"], []))
        pods = owned(store.all(PODS))
        for one in store.all(STATEFULSETS):
            mark = {REVISION_LABEL: statefulset_revision(one)}
            for pod in pods.get(one["metadata"]["uid"], []):
                metadata = pod["metadata"] | {"labels": labels_of(pod) | mark}
                key = metadata["namespace"], metadata["name"]
                store.update(PODS, *key, lambda item, new=metadata: item | {"metadata": new})  # type: ignore[misc]


def _agree(store: ObjectStore, deployment: Object, replicasets: list[Object]) -> None:
    wanted = bare_template(deployment)
    if not replicasets or any(bare_template(one) == wanted for one in replicasets):
        return
    newest = max(replicasets, key=lambda one: (revision(one), str(one["metadata"]["creationTimestamp"])))
    kept = newest["spec"]["template"].get("metadata") or {}
    mark = {HASH_LABEL: (kept.get("labels") or {}).get(HASH_LABEL, digest(wanted))}
    labels = (wanted["metadata"].get("labels") or {}) | mark
    template = wanted | {"metadata": wanted["metadata"] | {"labels": labels}}
    key = newest["metadata"]["namespace"], newest["metadata"]["name"]
    store.update(REPLICASETS, *key, lambda item: item | {"spec": item["spec"] | {"template": template}})
