"""One object of each custom kind that gpuwise stops, with pods, and the part of its definition that a stop touches.

The fields, their types and the versions are those of the definitions that the projects publish; SOURCES names them.
Everything else is pruned by the API server, as with the whole definitions: a field at a wrong path would be dropped.
"""

import copy
import json
import urllib.request
from collections.abc import Iterable
from typing import Any

from gpuwise.emulate import ADMIN_TOKEN
from gpuwise.emulate.objects import pod, pod_spec
from gpuwise.model.kinds import KINDS, NAME, QUEUED, Kind
from gpuwise.model.labels import CHECKPOINTED
from tests.cluster_under_test import KUBECONFIG, NAMESPACE

Object = dict[str, Any]
BUILT_IN = {"Deployment", "StatefulSet", "ReplicaSet", "Job"}
CUSTOM = {name: kind for name, kind in KINDS.items() if kind.stop and name not in BUILT_IN}

BOOLEAN, ANY = {"type": "boolean"}, {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
COUNT = {"type": "integer", "format": "int32", "minimum": 0}
RUN_POLICY = {"runPolicy": {"type": "object", "properties": {"suspend": BOOLEAN}}}
SCHEMAS: dict[str, Object] = {
    # kubernetes-sigs/lws, config/crd/bases/leaderworkerset.x-k8s.io_leaderworkersets.yaml
    "LeaderWorkerSet": {"replicas": COUNT, "leaderWorkerTemplate": ANY},
    # kubernetes-sigs/jobset, config/components/crd/bases/jobset.x-k8s.io_jobsets.yaml
    "JobSet": {"suspend": BOOLEAN, "replicatedJobs": {"type": "array", "items": ANY}},
    # argoproj/argo-rollouts, manifests/crds/rollout-crd.yaml
    "Rollout": {"replicas": COUNT, "paused": BOOLEAN, "selector": ANY, "template": ANY},
    # kubeflow/trainer release-1.9, manifests/base/crds/kubeflow.org_*jobs.yaml; kubeflow/mpi-operator, v2beta1
    "PyTorchJob": RUN_POLICY | {"pytorchReplicaSpecs": ANY},
    "TFJob": RUN_POLICY | {"tfReplicaSpecs": ANY},
    "XGBoostJob": RUN_POLICY | {"xgbReplicaSpecs": ANY},
    "PaddleJob": RUN_POLICY | {"paddleReplicaSpecs": ANY},
    "JAXJob": RUN_POLICY | {"jaxReplicaSpecs": ANY},
    "MPIJob": RUN_POLICY | {"mpiReplicaSpecs": ANY},
    # kubeflow/trainer, manifests/base/crds/trainer.kubeflow.org_trainjobs.yaml
    "TrainJob": {"suspend": BOOLEAN, "runtimeRef": ANY},
    # ray-project/kuberay, ray-operator/config/crd/bases
    "RayJob": {"suspend": BOOLEAN, "shutdownAfterJobFinishes": BOOLEAN, "rayClusterSpec": ANY, "clusterSelector": ANY},
    "RayCluster": {"suspend": BOOLEAN, "headGroupSpec": ANY, "workerGroupSpecs": {"type": "array", "items": ANY}},
    # kserve/kserve, config/crd/full: the stop is an annotation
    "InferenceService": {"predictor": ANY},
    "LLMInferenceService": {"replicas": COUNT, "template": ANY},
    # kubeflow/kubeflow, notebook-controller: the stop is an annotation
    "Notebook": {"template": ANY},
    # kubeflow/notebooks, workspaces/controller/manifests/kustomize/base/crd/kubeflow.org_workspaces.yaml
    "Workspace": {"paused": BOOLEAN, "kind": {"type": "string"}},
    # kubernetes-sigs/kueue, config/components/crd/bases/kueue.x-k8s.io_workloads.yaml
    "Workload": {"active": BOOLEAN, "queueName": {"type": "string"}, "podSets": {"type": "array", "items": ANY}},
}
TEMPLATE: Object = {"spec": pod_spec()}
_RAY: Object = {"workerGroupSpecs": [{"groupName": "gpu", "replicas": 1, "template": TEMPLATE}]}
SPECS: dict[str, Object] = {
    "LeaderWorkerSet": {"replicas": 1, "leaderWorkerTemplate": {"size": 1, "workerTemplate": TEMPLATE}},
    "JobSet": {"replicatedJobs": [{"name": "w", "template": {"spec": {"template": TEMPLATE}}}]},
    "Rollout": {"replicas": 1, "selector": {"matchLabels": {"app": "rollout"}}, "template": TEMPLATE},
    "PyTorchJob": {"pytorchReplicaSpecs": {"Worker": {"replicas": 1, "template": TEMPLATE}}},
    "TFJob": {"tfReplicaSpecs": {"Worker": {"replicas": 1, "template": TEMPLATE}}},
    "XGBoostJob": {"xgbReplicaSpecs": {"Worker": {"replicas": 1, "template": TEMPLATE}}},
    "PaddleJob": {"paddleReplicaSpecs": {"Worker": {"replicas": 1, "template": TEMPLATE}}},
    "JAXJob": {"jaxReplicaSpecs": {"Worker": {"replicas": 1, "template": TEMPLATE}}},
    "MPIJob": {"mpiReplicaSpecs": {"Worker": {"replicas": 1, "template": TEMPLATE}}},
    "TrainJob": {"runtimeRef": {"name": "torch-distributed"}},
    "RayJob": {"shutdownAfterJobFinishes": True, "rayClusterSpec": _RAY},
    "RayCluster": _RAY,
    "InferenceService": {"predictor": {"model": {"name": "m", "resources": {"limits": {"nvidia.com/gpu": "1"}}}}},
    "LLMInferenceService": {"replicas": 1, "template": pod_spec()},
    "Notebook": {"template": TEMPLATE},
    "Workspace": {"kind": "jupyterlab"},
}


def definition(kind: Kind) -> Object:
    """The CustomResourceDefinition of a kind, with the part of its schema that gpuwise touches."""
    spec = {"type": "object", "properties": SCHEMAS[kind.name]}
    schema = {"type": "object", "properties": {"spec": spec, "status": ANY}}
    version = {"name": kind.versions[0], "served": True, "storage": True, "subresources": {"status": {}}}
    names = {"kind": kind.name, "plural": kind.resource, "singular": kind.name.lower(), "listKind": f"{kind.name}List"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.resource}.{kind.group}"},
        "spec": {
            "group": kind.group,
            "scope": "Namespaced",
            "names": names,
            "versions": [version | {"schema": {"openAPIV3Schema": schema}}],
        },
    }


def custom_object(kind: Kind, namespace: str = NAMESPACE, **annotations: str) -> Object:
    """An object of a custom kind named after it, whose work has checkpoints."""
    return {
        "apiVersion": f"{kind.group}/{kind.versions[0]}",
        "kind": kind.name,
        "metadata": {
            "name": kind.name.lower(),
            "namespace": namespace,
            "annotations": {CHECKPOINTED: "true"} | annotations,
        },
        "spec": copy.deepcopy(SPECS[kind.name]),
    }


def pod_of(kind: Kind, item: Object) -> Object:
    """The pod that the operator of a kind made for an object, as read from the API server."""
    metadata = item["metadata"]
    selector = kind.pods.replace(NAME, metadata["name"]) or "app=rollout"
    labels = dict(part.split("=") for part in selector.split(","))
    owner = {"apiVersion": item["apiVersion"], "kind": kind.name, "name": metadata["name"], "uid": metadata["uid"]}
    name, namespace = f"{metadata['name']}-0", metadata["namespace"]
    return pod(name, namespace=namespace, labels=labels, ownerReferences=[owner | {"controller": True}])


def read(cluster: Any, path: str) -> Object:
    """One object, as the API server returns it."""
    request = urllib.request.Request(cluster.url + path, headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        found: Object = json.load(answer)
    return found


def load(cluster: Any, kinds: Iterable[Kind], namespace: str = NAMESPACE) -> None:
    """Create an object of each kind, and its pod, as its operator would have made it."""
    rows = list(kinds)
    if KUBECONFIG is None:
        cluster.load(*map(definition, rows))
        cluster.settle()
    cluster.load(*(custom_object(kind, namespace) for kind in rows))
    cluster.settle()
    # The tests' real cluster simulates the controller of notebooks.
    rows = [kind for kind in rows if KUBECONFIG is None or kind.name != "Notebook"]
    found = [(kind, read(cluster, kind.path(namespace, kind.name.lower(), kind.versions[0]))) for kind in rows]
    cluster.load(*(pod_of(kind, item) for kind, item in found))
    cluster.settle()


def admitted(item: Object) -> Object:
    """The Workload that Kueue made for a job in a queue, as read from the API server."""
    metadata = item["metadata"]
    owner = {"apiVersion": item["apiVersion"], "kind": item["kind"], "name": metadata["name"], "uid": metadata["uid"]}
    return {
        "apiVersion": f"{QUEUED.group}/{QUEUED.versions[0]}",
        "kind": QUEUED.name,
        "metadata": {
            "name": f"job-{metadata['name']}",
            "namespace": metadata["namespace"],
            "ownerReferences": [owner | {"controller": True}],
        },
        "spec": {"queueName": "gpus"},
    }
