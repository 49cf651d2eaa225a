"""Workloads: the tops of the owner chains that hold GPUs or ask for them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gpuwise.model.inventory import GpuRequest, Workload, WorkloadClass, WorkloadRef
from gpuwise.model.labels import WORKLOAD_CLASS
from gpuwise.model.ownership import autoscalers, disruptions_allowed, gitops_owners
from gpuwise.model.ports import Object
from gpuwise.store.kubernetes_pods import controller_of, epoch_s, gpu_request, pod_of

TOPS = ("Deployment", "StatefulSet", "ReplicaSet", "Job", "Notebook", "InferenceService")
STOPPED = "kubeflow-resource-stopped"
"""Kubeflow's annotation on a notebook that is scaled to nothing."""


@dataclass(slots=True)
class _Found:
    """What is gathered about one workload.

    Attributes:
        kind: of the top owner.
        item: the top owner, or as much as a reference to it says.
        chain: kind and name of every object between it and its pods, itself included.
        pods: those that ask for GPUs.
        template: a pod spec below it that asks for GPUs, None without one.
    """

    kind: str
    item: Object
    chain: set[tuple[str, str]] = field(default_factory=set)
    pods: list[Object] = field(default_factory=list)
    template: Object | None = None


def workloads_of(objects: Mapping[str, list[Object]]) -> tuple[Workload, ...]:
    """Every workload that owns GPU pods, or whose template asks for GPUs, by namespace, kind and name."""
    owners = {item["metadata"]["uid"]: (kind, item) for kind in TOPS for item in objects.get(kind, [])}
    found: dict[str, _Found] = {}
    for kind, item in owners.values():
        spec = _pod_spec(kind, item)
        if gpu_request(spec) is not None:
            top = _climb(kind, item, owners, found)
            # A ReplicaSet of an older template speaks only where nothing above it does.
            top.template = spec if top.template is None or top.item is item else top.template
    for item in objects.get("Pod", []):
        if gpu_request(item.get("spec")) is not None:
            _climb("Pod", item, owners, found).pods.append(item)
    workloads = (_workload(one, objects) for one in found.values())
    return tuple(sorted(workloads, key=lambda workload: workload.ref))


def _climb(kind: str, item: Object, owners: Mapping[str, tuple[str, Object]], found: dict[str, _Found]) -> _Found:
    """Walk up to the top owner; a Job is one even under a CronJob, which makes a new one each time."""
    chain = {(kind, item["metadata"]["name"])}
    while kind != "Job" and (reference := controller_of(item)) is not None:
        known = owners.get(reference["uid"])
        # An owner of a kind that is not listed (RayCluster, Rollout) is known by the reference alone.
        kind, item = known or (reference["kind"], _by_reference(reference, item))
        chain.add((kind, item["metadata"]["name"]))
    top = found.setdefault(item["metadata"]["uid"], _Found(kind, item))
    top.chain |= chain
    return top


def _by_reference(reference: Object, child: Object) -> Object:
    metadata = child["metadata"]
    kept = {key: metadata[key] for key in ("namespace", "creationTimestamp") if key in metadata}
    return {"metadata": {"name": reference["name"], "uid": reference["uid"]} | kept}


def _pod_spec(kind: str, item: Object) -> Object | None:
    spec = item.get("spec") or {}
    if kind == "InferenceService":
        predictor: Object = spec.get("predictor") or {}
        model = predictor.get("model")
        return {"containers": [*(predictor.get("containers") or []), *([model] if model else [])]}
    template: Object | None = (spec.get("template") or {}).get("spec")
    return template


def _workload(found: _Found, objects: Mapping[str, list[Object]]) -> Workload:
    metadata = found.item["metadata"]
    namespace = metadata.get("namespace", "")
    labels = [pod["metadata"].get("labels") or {} for pod in found.pods]
    here = {kind: _within(namespace, objects.get(kind, [])) for kind in ("HorizontalPodAutoscaler", "ScaledObject")}
    scalers = autoscalers(here["HorizontalPodAutoscaler"], here["ScaledObject"], frozenset(found.chain))
    pods = sorted(found.pods, key=lambda pod: str(pod["metadata"]["name"]))
    return Workload(
        ref=WorkloadRef(namespace, found.kind, metadata["name"], metadata["uid"]),
        workload_class=_class(found.kind, metadata.get("labels") or {}),
        replicas=_replicas(found.kind, found.item),
        request=_request(found),
        labels=metadata.get("labels") or {},
        annotations=metadata.get("annotations") or {},
        pods=tuple(pod_of(pod) for pod in pods),
        created_s=epoch_s(metadata["creationTimestamp"]),
        managed_by=scalers + gitops_owners(metadata),
        disruptions_allowed=disruptions_allowed(_within(namespace, objects.get("PodDisruptionBudget", [])), labels),
    )


def _within(namespace: str, items: list[Object]) -> list[Object]:
    return [item for item in items if item["metadata"].get("namespace") == namespace]


def _request(found: _Found) -> GpuRequest | None:
    """The template's word, else that of a pod."""
    own = gpu_request(found.template)
    return own or next((gpu_request(pod["spec"]) for pod in found.pods), None)


def _class(kind: str, labels: Mapping[str, str]) -> WorkloadClass:
    said = labels.get(WORKLOAD_CLASS, "")
    if said in set(WorkloadClass):
        return WorkloadClass(said)
    return {"Notebook": WorkloadClass.NOTEBOOK, "Job": WorkloadClass.BATCH}.get(kind, WorkloadClass.ENDPOINT)


def _replicas(kind: str, item: Object) -> int | None:
    spec = item.get("spec") or {}
    if kind in ("Deployment", "StatefulSet", "ReplicaSet"):
        return int(spec.get("replicas", 1))
    if kind == "Notebook":
        return 0 if STOPPED in (item["metadata"].get("annotations") or {}) else 1
    if kind == "Job":
        return 0 if spec.get("suspend") or is_finished(item) else int(spec.get("parallelism", 1))
    return None


def is_finished(job: Object) -> bool:
    """Whether a Job has come to its end, good or bad."""
    conditions = (job.get("status") or {}).get("conditions") or []
    return any(entry["type"] in ("Complete", "Failed") and entry["status"] == "True" for entry in conditions)
