"""Workloads: the top objects of the owner chains whose pods have GPUs or request them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from gpuwise.model.inventory import Unread, Workload, WorkloadClass, WorkloadRef
from gpuwise.model.labels import WORKLOAD_CLASS
from gpuwise.model.ownership import (
    activator,
    autoscalers,
    borrowed,
    disruptions_allowed,
    gitops_owners,
    group_of,
    job_owners,
)
from gpuwise.model.ports import Object
from gpuwise.sources.kubernetes.creators import creator_of, marks
from gpuwise.sources.kubernetes.listings import GROUPS
from gpuwise.sources.kubernetes.pods import controller_of, epoch_s, pod_of
from gpuwise.sources.kubernetes.requested import Requested, Requests, shares_card
from gpuwise.sources.kubernetes.templates import KINDS, replicas, template_request
from gpuwise.sources.kubernetes.unread import READ_ERRORS, reading, unread
from gpuwise.sources.kubernetes.volumes import Volumes

TOPS = KINDS
_SERVICE = "InferenceService"
_SERVED_BY = "serving.kserve.io/inferenceservice"
"""KServe's label on all its objects, including pods. Knative's Service and Revision in between are not listed."""

_CLASSES = {
    "Notebook": WorkloadClass.NOTEBOOK,
    "Job": WorkloadClass.BATCH,
    "RayJob": WorkloadClass.BATCH,
    "JobSet": WorkloadClass.BATCH,
    "Workspace": WorkloadClass.NOTEBOOK,
} | dict.fromkeys(
    ("PyTorchJob", "TFJob", "XGBoostJob", "PaddleJob", "JAXJob", "MPIJob", "TrainJob"), WorkloadClass.TRAINING
)
"""Workload class by kind. Any other kind counts as an endpoint, the class with the strictest limits."""

Owners = Mapping[str, tuple[str, Object]]


@dataclass(slots=True)
class _Found:
    """Data collected about one workload.

    Attributes:
        kind: kind of the top owner.
        item: the top owner, or what a reference to it contains.
        chain: kind and name of every object between the top owner and its pods, including the top owner.
        pods: its pods that request GPUs.
        template: GPU request and pod spec of the nearest template; None without one.
        problem: why the first unreadable object of the workload cannot be read; None if all can.
    """

    kind: str
    item: Object
    chain: set[tuple[str, str]] = field(default_factory=set)
    pods: list[Object] = field(default_factory=list)
    template: tuple[Requested, Object] | None = None
    problem: str | None = None


def workloads_of(
    objects: Mapping[str, list[Object]], requests: Requests, *, volumes: Volumes, unreadable: list[Unread]
) -> tuple[Workload, ...]:
    """Return every workload that owns GPU pods or whose template requests GPUs, by namespace, kind and name.

    Args:
        objects: objects by kind.
        requests: reads the GPU requests of pods and templates.
        volumes: finds which nodes can attach the volumes of a pod.
        unreadable: list to which unreadable objects are added; an unreadable object excludes its workload.
    """
    owners = {item["metadata"]["uid"]: (kind, item) for kind in TOPS for item in _listed(kind, objects)}
    owners |= {f"{_SERVED_BY}={_place(item)}": (kind, item) for kind, item in owners.values() if kind == _SERVICE}
    # In a LeaderWorkerSet the leader's pod owns the StatefulSet of its workers.
    owners |= {item["metadata"]["uid"]: ("Pod", item) for item in objects.get("Pod", [])}
    found: dict[str, _Found] = {}
    for kind, item in owners.values():
        with _belonging(kind, item, owners, found, unreadable):
            request = template_request(kind, item, requests)
            if request is not None:
                top = _climb(kind, item, owners, found)
                # The template of a ReplicaSet may be older: it counts only if no owner above has one.
                top.template = request if top.template is None or top.item is item else top.template
    for item in objects.get("Pod", []):
        with _belonging("Pod", item, owners, found, unreadable):
            if _of_pod(item, requests) is not None:
                _climb("Pod", item, owners, found).pods.append(item)
    workloads: list[Workload] = []
    namespaces = {item["metadata"]["name"]: marks(item["metadata"]) for item in objects.get("Namespace", [])}
    for one in found.values():
        with reading(one.kind, one.item, unreadable, nodes=_nodes(one)):
            if one.problem is not None:
                raise ValueError(one.problem)
            made = _workload(one, objects, requests=requests, volumes=volumes)
            marked = namespaces.get(made.ref.namespace, ())
            creator = creator_of(one.item, one.pods, marked, gitops_owners(one.item["metadata"]))
            workloads.append(replace(made, creator=creator))
    return tuple(sorted(workloads, key=lambda workload: workload.ref))


@contextmanager
def _belonging(
    kind: str, item: Object, owners: Owners, found: dict[str, _Found], unreadable: list[Unread]
) -> Iterator[None]:
    """Read an object; if that fails, its workload counts as unreadable, too."""
    try:
        yield
    except READ_ERRORS as error:
        record = unread(kind, item, error)
        pod_nodes = _nodes(_Found(kind, item, pods=[item])) if kind == "Pod" else frozenset[str]()
        with reading(kind, item, unreadable, nodes=pod_nodes):
            top = _climb(kind, item, owners, found)
            top.problem = top.problem or (record.problem if top.item is item else f"{record.ref}: {record.problem}")
            if kind == "Pod":
                top.pods.append(item)


def _nodes(found: _Found) -> frozenset[str]:
    specs = (pod.get("spec") for pod in found.pods)
    names = (spec.get("nodeName") for spec in specs if isinstance(spec, dict))
    return frozenset(name for name in names if isinstance(name, str))


def _listed(kind: str, objects: Mapping[str, list[Object]]) -> list[Object]:
    """Return the objects of a kind. A Rollout that references a Deployment gets that Deployment's template."""
    if kind != "Rollout":
        return objects.get(kind, [])
    lenders = {_place(item): item for item in objects.get("Deployment", [])}
    return [_with_template(item, lenders) for item in objects.get(kind, [])]


def _with_template(rollout: Object, lenders: Mapping[str, Object]) -> Object:
    lender = lenders.get(f"{rollout['metadata'].get('namespace', '')}/{borrowed(rollout)}")
    if lender is None or (spec := rollout["spec"]).get("template"):
        return rollout
    return rollout | {"spec": spec | {"template": (lender.get("spec") or {}).get("template")}}


def _place(item: Object) -> str:
    return f"{item['metadata'].get('namespace', '')}/{item['metadata']['name']}"


def _climb(kind: str, item: Object, owners: Owners, found: dict[str, _Found]) -> _Found:
    """Follow the owner references to the top owner.

    A Job counts as the top unless its owner is listed: a CronJob creates many of them.

    Raises:
        ValueError: the owner references form a cycle, which the API server does not prevent.
    """
    chain, seen = {(kind, item["metadata"]["name"])}, {item["metadata"]["uid"]}
    while (reference := controller_of(item)) is not None and not (kind == "Job" and reference["uid"] not in owners):
        if reference["kind"] == "Node":  # the mirror of a static pod: the kubelet runs it from a file
            break
        if reference["uid"] in seen:
            raise ValueError(f"its ownerReferences form a cycle through {reference['kind']} {reference['name']}")
        seen.add(reference["uid"])
        known = owners.get(reference["uid"]) or _service_of(item, owners)
        # An owner of a kind that is not listed is known only by the reference.
        kind, item = known or (_unlisted(reference), _by_reference(reference, item))
        chain.add((kind, item["metadata"]["name"]))
    top = found.setdefault(item["metadata"]["uid"], _Found(kind, item))
    top.chain |= chain
    return top


def _unlisted(reference: Object) -> str:
    """The kind of an owner that was not listed, with its API group if a listed kind has the same name.

    A Job of batch.volcano.sh is not a Job of batch.
    """
    kind, group = str(reference["kind"]), group_of(reference.get("apiVersion", ""))
    return f"{kind}.{group}" if group and GROUPS.get(kind, group) != group else kind


def _service_of(item: Object, owners: Owners) -> tuple[str, Object] | None:
    metadata = item["metadata"]
    name = (metadata.get("labels") or {}).get(_SERVED_BY)
    return owners.get(f"{_SERVED_BY}={metadata.get('namespace', '')}/{name}") if name else None


def _by_reference(reference: Object, child: Object) -> Object:
    metadata = child["metadata"]
    kept = {key: metadata[key] for key in ("namespace", "creationTimestamp") if key in metadata}
    return {"metadata": {"name": reference["name"], "uid": reference["uid"]} | kept}


def _workload(found: _Found, objects: Mapping[str, list[Object]], *, requests: Requests, volumes: Volumes) -> Workload:
    metadata = found.item["metadata"]
    namespace = metadata.get("namespace", "")
    labels = [pod["metadata"].get("labels") or {} for pod in found.pods]
    here = {kind: _within(namespace, objects.get(kind, [])) for kind in ("HorizontalPodAutoscaler", "ScaledObject")}
    scalers = autoscalers(here["HorizontalPodAutoscaler"], here["ScaledObject"], frozenset(found.chain))
    pod_labels = _pod_labels(found)
    pods = sorted(found.pods, key=lambda pod: str(pod["metadata"]["name"]))
    requested, spec = _request(found, requests)
    each = [(pod, _of_pod(pod, requests)) for pod in pods]
    unknown = next((one.unknown for one in (requested, *(one for _, one in each)) if one and one.unknown), "")
    return Workload(
        ref=WorkloadRef(namespace, found.kind, metadata["name"], metadata["uid"]),
        workload_class=_class(found.kind, metadata.get("labels") or {}),
        replicas=replicas(found.kind, found.item, requests),
        request=requested.request if requested and not unknown else None,
        labels=metadata.get("labels") or {},
        annotations=metadata.get("annotations") or {},
        pods=tuple(pod_of(pod, volumes=volumes.reach(pod), claimed=one.claimed if one else ()) for pod, one in each),
        created_s=epoch_s(metadata["creationTimestamp"]),
        managed_by=scalers + _borrowers(found, objects) + job_owners(found.kind, found.item) + gitops_owners(metadata),
        disruptions_allowed=disruptions_allowed(_within(namespace, objects.get("PodDisruptionBudget", [])), labels),
        chain=tuple(sorted(found.chain)),
        asking=requests.containers(spec),
        shares_card=shares_card(spec),
        pod_labels=pod_labels,
        unknown_request=unknown,
        more_requests=requested.more if requested and not unknown else (),
        activator=activator(found.kind, here["ScaledObject"], frozenset(found.chain), pod_labels),
    )


def _pod_labels(found: _Found) -> dict[str, str]:
    """Labels of the template and of the pods; of two values of one label the template's counts."""
    spec = found.item.get("spec")
    template = (spec.get("template") if isinstance(spec, dict) else None) or {}
    labels: dict[str, str] = {}
    for metadata in (*(pod["metadata"] for pod in reversed(found.pods)), template.get("metadata") or {}):
        labels |= metadata.get("labels") or {}
    return labels


def _borrowers(found: _Found, objects: Mapping[str, list[Object]]) -> tuple[str, ...]:
    """Return the Rollouts that keep a Deployment at 0 replicas and run its template themselves."""
    if found.kind != "Deployment":
        return ()
    name, namespace = found.item["metadata"]["name"], found.item["metadata"].get("namespace", "")
    rollouts = _within(namespace, objects.get("Rollout", []))
    return tuple(sorted(f"Rollout/{item['metadata']['name']}" for item in rollouts if borrowed(item) == name))


def _within(namespace: str, items: list[Object]) -> list[Object]:
    return [item for item in items if item["metadata"].get("namespace") == namespace]


def _request(found: _Found, requests: Requests) -> tuple[Requested | None, Object | None]:
    """Return the GPU request of the template, else that of a pod, with the pod spec that contains it."""
    if found.template is not None:
        return found.template
    return next(((_of_pod(pod, requests), pod["spec"]) for pod in found.pods), (None, None))


def _of_pod(pod: Object, requests: Requests) -> Requested | None:
    return requests.of(pod.get("spec"), str(pod["metadata"].get("namespace", "")), pod.get("status"))


def _class(kind: str, labels: Mapping[str, str]) -> WorkloadClass:
    label = labels.get(WORKLOAD_CLASS, "")
    if label in set(WorkloadClass):
        return WorkloadClass(label)
    return _CLASSES.get(kind, WorkloadClass.ENDPOINT)
