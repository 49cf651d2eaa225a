"""The GPUs that each kind's pods request, and the wanted number of pods, from the kind's spec.

Fields: Kubernetes' apps/v1 and batch/v1, KubeRay's ray.io/v1, LeaderWorkerSet v1, JobSet v1alpha2, Kubeflow's notebooks
v1 and training operator v1, KServe v1beta1 and v1alpha2, Argo Rollouts v1alpha1.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gpuwise.model.ports import Object
from gpuwise.sources.kubernetes.requested import Requested, Requests

KSERVE_STOP = "serving.kserve.io/stop"
"""KServe's annotation on a service that is stopped, with the value "true"."""
STOPPED = "kubeflow-resource-stopped"
"""Kubeflow's annotation on a notebook that is scaled to zero."""


@dataclass(frozen=True, slots=True)
class PodGroup:
    """Pods of one template.

    Attributes:
        spec: their pod spec.
        pods: wanted number of pods, None if the object does not specify it.
    """

    spec: Object
    pods: int | None


def pod_groups(kind: str, item: Object) -> tuple[PodGroup, ...]:
    """Return the groups of pods that an object creates; empty for an unknown kind, or an object without a spec."""
    groups = _GROUPS.get(kind) if "spec" in item else None
    return () if groups is None else tuple(groups(item))


def template_request(kind: str, item: Object, requests: Requests) -> tuple[Requested, Object] | None:
    """Return the GPU request and the pod spec of the group with the largest request; None if no group has one.

    A group whose request is not known counts first: then the request of the object is not known.
    """
    namespace = str(item["metadata"].get("namespace", ""))
    found = ((requests.of(group.spec, namespace), group.spec) for group in pod_groups(kind, item))
    groups = [(requested, spec) for requested, spec in found if requested is not None]
    return max(groups, key=lambda group: _size(group[0]), default=None)


def _size(requested: Requested) -> tuple[bool, int]:
    return requested.request is None, requested.request.count if requested.request else 0


def replicas(kind: str, item: Object, requests: Requests) -> int | None:
    """Return the wanted number of pods, of groups that request GPUs if any does; None if it is not specified."""
    groups, namespace = pod_groups(kind, item), str(item["metadata"].get("namespace", ""))
    counts = [group.pods for group in groups if requests.of(group.spec, namespace) is not None]
    counts = counts or [group.pods for group in groups]
    known = [count for count in counts if count is not None]
    return sum(known) if known and len(known) == len(counts) else None


def is_finished(job: Object) -> bool:
    """Return whether a Job has ended, successfully or not."""
    conditions = (job.get("status") or {}).get("conditions") or []
    return any(entry["type"] in _ENDS and entry["status"] == "True" for entry in conditions)


# A Job ends as Complete or Failed, a JobSet as Completed, the training operator's jobs as Succeeded or Failed.
_ENDS = frozenset({"Complete", "Completed", "Succeeded", "Failed"})


def _spec(item: Object) -> Object:
    return item.get("spec") or {}


def _of(template: Object | None, pods: int | None) -> PodGroup:
    return PodGroup((template or {}).get("spec") or {}, pods)


def _replicated(item: Object) -> list[PodGroup]:
    return [_of(_spec(item).get("template"), int(_spec(item).get("replicas", 1)))]


def _job(item: Object) -> list[PodGroup]:
    spec = _spec(item)
    stopped = spec.get("suspend") or is_finished(item)
    return [_of(spec.get("template"), 0 if stopped else int(spec.get("parallelism", 1)))]


def _notebook(item: Object) -> list[PodGroup]:
    stopped = STOPPED in (item["metadata"].get("annotations") or {})
    return [_of(_spec(item).get("template"), 0 if stopped else 1)]


def _kserve_stopped(item: Object) -> bool:
    return (item["metadata"].get("annotations") or {}).get(KSERVE_STOP) == "true"


def _inference_service(item: Object) -> list[PodGroup]:
    """Resources are in the predictor's containers, model or framework field; the autoscaler sets the pod count."""
    predictor: Object = _spec(item).get("predictor") or {}
    requesting = [part for part in predictor.values() if isinstance(part, dict) and "resources" in part]
    pods = 0 if _kserve_stopped(item) else None
    return [PodGroup({"containers": [*(predictor.get("containers") or []), *requesting]}, pods)]


def _llm_inference_service(item: Object) -> list[PodGroup]:
    """Each part has the pod spec of its leader, and one of its workers if it spans several nodes."""
    found = []
    for part in (_spec(item), _spec(item).get("prefill") or {}):
        replicas = part.get("replicas")
        pods = 0 if _kserve_stopped(item) else (1 if replicas is None else int(replicas))
        found += [PodGroup(part[name], pods) for name in ("template", "worker") if part.get(name)]
    return found


def _job_set(item: Object) -> list[PodGroup]:
    stopped = _spec(item).get("suspend") or is_finished(item)
    found = []
    for part in _spec(item).get("replicatedJobs") or []:
        job = (part.get("template") or {}).get("spec") or {}
        pods = 0 if stopped else int(part.get("replicas", 1)) * int(job.get("parallelism", 1))
        found.append(_of(job.get("template"), pods))
    return found


def _ray_cluster(spec: Object, *, stopped: bool) -> list[PodGroup]:
    stopped = stopped or bool(spec.get("suspend"))
    groups = [((spec.get("headGroupSpec") or {}).get("template"), 1)]
    groups += [
        (group.get("template"), int(group.get("replicas") or 0) * int(group.get("numOfHosts") or 1))
        for group in spec.get("workerGroupSpecs") or []
    ]
    return [_of(template, 0 if stopped else pods) for template, pods in groups]


def _ray_job(item: Object) -> list[PodGroup]:
    ended = (item.get("status") or {}).get("jobDeploymentStatus") in {"Complete", "Failed", "Suspended"}
    cluster = _spec(item).get("rayClusterSpec") or {}
    return _ray_cluster(cluster, stopped=ended or bool(_spec(item).get("suspend")))


def _leader_worker_set(item: Object) -> list[PodGroup]:
    """Each replica is a group of a leader and its workers; a leader without a template uses the workers' one."""
    spec = _spec(item)
    both, count = spec.get("leaderWorkerTemplate") or {}, int(spec.get("replicas", 1))
    worker = both.get("workerTemplate")
    return [_of(both.get("leaderTemplate") or worker, count), _of(worker, count * (int(both.get("size", 1)) - 1))]


def _training_job(item: Object) -> list[PodGroup]:
    """The training operator's kinds: `pytorchReplicaSpecs`, `tfReplicaSpecs`, `mpiReplicaSpecs` and so on."""
    spec = _spec(item)
    stopped = (spec.get("runPolicy") or {}).get("suspend") or is_finished(item)
    maps = (spec[name] or {} for name in sorted(spec) if name.endswith("ReplicaSpecs"))
    parts = [part for one in maps for part in one.values()]
    return [_of(part.get("template"), 0 if stopped else int(part.get("replicas", 1))) for part in parts]


_GROUPS: Mapping[str, Callable[[Object], list[PodGroup]]] = {
    "Deployment": _replicated,
    "StatefulSet": _replicated,
    "ReplicaSet": _replicated,
    "Rollout": _replicated,
    "Job": _job,
    "Notebook": _notebook,
    "InferenceService": _inference_service,
    "RayCluster": lambda item: _ray_cluster(_spec(item), stopped=False),
    "RayService": lambda item: _ray_cluster(_spec(item).get("rayClusterConfig") or {}, stopped=False),
    "RayJob": _ray_job,
    "LeaderWorkerSet": _leader_worker_set,
    **dict.fromkeys(("PyTorchJob", "TFJob", "XGBoostJob", "PaddleJob", "JAXJob", "MPIJob"), _training_job),
    "JobSet": _job_set,
    "LLMInferenceService": _llm_inference_service,
    # Their pods are made from objects that are not listed: TrainingRuntimes and WorkspaceKinds.
    "TrainJob": lambda _: [],
    "Workspace": lambda _: [],
}

KINDS = tuple(_GROUPS)
"""Kinds whose pods are derived from their spec."""
