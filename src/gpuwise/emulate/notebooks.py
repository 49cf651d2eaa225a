"""Kubeflow's Notebook controller: a StatefulSet of one pod, or none while the notebook is stopped."""

from gpuwise.emulate.pods import make, owned, reference_to
from gpuwise.emulate.resources import NOTEBOOKS, STATEFULSETS
from gpuwise.emulate.status import Object
from gpuwise.emulate.store import ObjectStore

STOPPED = "kubeflow-resource-stopped"
NAME_LABEL = "notebook-name"
MANAGER = "notebook-controller"


def run_notebooks(store: ObjectStore) -> None:
    """Keep one StatefulSet per notebook, with 1 replica, or 0 while it has the stop annotation."""
    # A CustomResourceDefinition of that name alone does not include a controller.
    if store.registry.find(*NOTEBOOKS.place) is not NOTEBOOKS:
        return
    sets = owned(store.all(STATEFULSETS))
    for notebook in list(store.all(NOTEBOOKS)):
        owned_sets = sets.get(notebook["metadata"]["uid"], [])
        replicas = 0 if STOPPED in (notebook["metadata"].get("annotations") or {}) else 1
        namespace = notebook["metadata"]["namespace"]
        if not owned_sets and "template" in (notebook.get("spec") or {}):
            make(store, STATEFULSETS, namespace, _statefulset(notebook, replicas), manager=MANAGER)
        for one in owned_sets:
            store.update(
                STATEFULSETS,
                namespace,
                one["metadata"]["name"],
                lambda item: item | {"spec": item["spec"] | {"replicas": replicas}},  # noqa: B023  # called at once
                manager=MANAGER,
            )


def _statefulset(notebook: Object, replicas: int) -> Object:
    name = notebook["metadata"]["name"]
    labels = {"statefulset": name, NAME_LABEL: name}
    return {
        "metadata": {
            "name": name,
            "namespace": notebook["metadata"]["namespace"],
            "ownerReferences": [reference_to(NOTEBOOKS, notebook)],
        },
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"statefulset": name}},
            "template": {"metadata": {"labels": labels}, "spec": notebook["spec"]["template"]["spec"]},
        },
    }
