"""Tables and metadata: the forms that `kubectl get` requests."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from gpuwise.emulate import resources
from gpuwise.emulate.resources import Resource
from gpuwise.emulate.status import ApiFailure, Object, not_emulated

Row = Callable[[Object], list[Any]]

_NAME = (
    "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a"
    " client to request the generation of an appropriate name automatically. Name is primarily intended for creation"
    " idempotence and configuration definition. Cannot be updated. More info:"
    " https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names"
)
_AGE = (
    "CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed"
    " to be set in happens-before order across separate operations. Clients may not set this value. It is represented"
    " in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info:"
    " https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata"
)


def _column(name: str, text: str, kind: str = "string", form: str = "", priority: int = 0) -> Object:
    return {"name": name, "type": kind, "format": form, "description": text, "priority": priority}


_FIRST, _LAST = _column("Name", _NAME, form="name"), _column("Age", _AGE)


def _status(item: Object, field: str) -> Any:
    return (item.get("status") or {}).get(field, 0)


def _node(item: Object) -> list[Any]:
    conditions = (item.get("status") or {}).get("conditions") or []
    ready = next((one for one in conditions if one["type"] == "Ready"), None)
    text = "Unknown" if ready is None else "Ready" if ready["status"] == "True" else "NotReady"
    if item["spec"].get("unschedulable"):
        text += ",SchedulingDisabled"
    info = (item.get("status") or {}).get("nodeInfo") or {}
    known = [info.get(field) or "<unknown>" for field in ("osImage", "kernelVersion", "containerRuntimeVersion")]
    return [text, "<none>", _AGE_OF, info.get("kubeletVersion", ""), "<none>", "<none>", *known]


def _deployment(item: Object) -> list[Any]:
    ready = f"{_status(item, 'readyReplicas')}/{item['spec']['replicas']}"
    containers = item["spec"]["template"]["spec"]["containers"]
    labels = (item["spec"].get("selector") or {}).get("matchLabels") or {}
    return [
        ready,
        _status(item, "updatedReplicas"),
        _status(item, "availableReplicas"),
        _AGE_OF,
        ",".join(one["name"] for one in containers),
        ",".join(one["image"] for one in containers),
        ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or "<none>",
    ]


def _claim(item: Object) -> list[Any]:
    status = item.get("status") or {}
    words = [
        *(["deleted"] if "deletionTimestamp" in item["metadata"] else []),
        *(["allocated"] if status.get("allocation") else []),
        *(["reserved"] if status.get("reservedFor") else []),
    ]
    return [",".join(words) or "pending", _AGE_OF]


def _job(item: Object) -> list[Any]:
    done = f"{_status(item, 'succeeded')}/{item['spec'].get('completions', 1)}"
    kinds = {one["type"]: one["status"] for one in (item.get("status") or {}).get("conditions") or []}
    named = ("Complete", "Failed", "Suspended", "FailureTarget", "SuccessCriteriaMet")
    state = next((kind for kind in named if kinds.get(kind) == "True"), "Running")
    containers = item["spec"]["template"]["spec"]["containers"]
    labels = (item["spec"].get("selector") or {}).get("matchLabels") or {}
    return [
        state,
        done,
        _AGE_OF,
        _AGE_OF,
        ",".join(one["name"] for one in containers),
        ",".join(one["image"] for one in containers),
        ",".join(f"{key}={value}" for key, value in sorted(labels.items())),
    ]


_AGE_OF = object()
_HOLDER = (
    "holderIdentity contains the identity of the holder of a current lease. If Coordinated Leader Election is used, the"
    " holder identity must be equal to the elected LeaseCandidate.metadata.name field."
)
_WORKLOAD_WIDE = [
    _column("Containers", "Names of each container in the template.", priority=1),
    _column("Images", "Images referenced by each container in the template.", priority=1),
]
# The API documentation of a field, which table printers show.
_ADDRESSES = (
    "List of addresses reachable to the node. Queried from cloud provider, if available. More info: "
    "https://kubernetes.io/docs/reference/node/node-status/#addresses Note: This field is declared as mergeable, "
    "but the merge key is not sufficiently unique, which can cause data corruption when it is merged. Callers "
    "should instead use a full-replacement patch. See https://pr.k8s.io/79391 for an example. Consumers should "
    "assume that addresses can change during the lifetime of a Node. However, there are some exceptions where "
    "this may not be possible, such as Pods that inherit a Node's address in its own status or consumers of the "
    "downward API (status.hostIP)."
)
_OS_IMAGE = "OS Image reported by the node from /etc/os-release (e.g. Debian GNU/Linux 7 (wheezy))."
_KERNEL = "Kernel Version reported by the node from 'uname -r' (e.g. 3.16.0-0.bpo.4-amd64)."
_RUNTIME = "ContainerRuntime Version reported by the node through runtime remote API (e.g. containerd://1.4.2)."
_UPDATED = "Total number of non-terminating pods targeted by this deployment that have the desired template spec."
_AVAILABLE = (
    "Total number of available non-terminating pods (ready for at least minReadySeconds) targeted by this deployment."
)
_DEPLOYMENT_SELECTOR = (
    "Label selector for pods. Existing ReplicaSets whose pods are selected by this will be the ones affected by "
    "this deployment. It must match the pod template's labels."
)
_SUCCEEDED = (
    "The number of pods which reached phase Succeeded. The value increases monotonically for a given spec. "
    "However, it may decrease in reaction to scale down of elastic indexed jobs."
)
_JOB_SELECTOR = (
    "A label query over pods that should match the pod count. Normally, the system sets this field for you. More "
    "info: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors"
)
_TABLES: dict[Resource, tuple[list[Object], Row]] = {
    resources.LEASES: (
        [_column("Holder", _HOLDER), _LAST],
        lambda item: [item["spec"].get("holderIdentity", ""), _AGE_OF],
    ),
    resources.NODES: (
        [
            _column("Status", "The status of the node"),
            _column("Roles", "The roles of the node"),
            _LAST,
            _column("Version", "Kubelet Version reported by the node."),
            _column("Internal-IP", _ADDRESSES, priority=1),
            _column("External-IP", _ADDRESSES, priority=1),
            _column("OS-Image", _OS_IMAGE, priority=1),
            _column("Kernel-Version", _KERNEL, priority=1),
            _column("Container-Runtime", _RUNTIME, priority=1),
        ],
        _node,
    ),
    resources.DEPLOYMENTS: (
        [
            _column("Ready", "Number of the pod with ready state"),
            _column("Up-to-date", _UPDATED),
            _column("Available", _AVAILABLE),
            _LAST,
            *_WORKLOAD_WIDE,
            _column("Selector", _DEPLOYMENT_SELECTOR, priority=1),
        ],
        _deployment,
    ),
    resources.JOBS: (
        [
            _column("Status", "Status of the job."),
            _column("Completions", _SUCCEEDED),
            _column("Duration", "Time required to complete the job."),
            _LAST,
            *_WORKLOAD_WIDE,
            _column("Selector", _JOB_SELECTOR, priority=1),
        ],
        _job,
    ),
    resources.RESOURCECLAIMS: (
        [_column("State", "A summary of the current state (allocated, pending, reserved, etc.)."), _LAST],
        _claim,
    ),
}


def table(resource: Resource, answer: Object, *, version: str, include: str, now: str) -> Object:
    """A list or an object as a Table.

    Args:
        resource: the resource.
        answer: the list or object.
        version: of the Table: v1 or v1beta1.
        include: content of each row: Metadata, Object or None; "" means Metadata.
        now: RFC 3339.

    Raises:
        ApiFailure: 400 for another `include`, 501 for a resource whose columns are not emulated.
    """
    if include not in ("", "Metadata", "Object", "None"):
        choices = "must be 'Metadata', 'Object', 'None', or empty"
        raise ApiFailure(
            400, f'Unable to convert to Table as requested: includeObject: Invalid value: "{include}": {choices}'
        )
    columns, cells = _columns(resource)
    many = "items" in answer
    items = answer["items"] if many else [answer]
    metadata = answer["metadata"] if many else {"resourceVersion": answer["metadata"]["resourceVersion"]}
    rows = []
    for item in items:
        age = _age(item["metadata"].get("creationTimestamp", now), now)
        values = [age if cell is _AGE_OF else cell for cell in cells(item)]
        row: Object = {"cells": [item["metadata"]["name"], *values]}
        row["object"] = None
        if include != "None":
            named = {"kind": resource.kind, "apiVersion": resource.api_version} | item
            row["object"] = named if include == "Object" else bare(item, version=version)
        rows.append(row)
    kept = {key: value for key, value in metadata.items() if value != ""}
    return {
        "kind": "Table",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": kept,
        "columnDefinitions": [_FIRST, *columns],
        "rows": rows,
    }


def _columns(resource: Resource) -> tuple[list[Object], Row]:
    if resource in _TABLES:
        return _TABLES[resource]
    if resource.builtin:
        raise not_emulated(f"a Table of {resource.label}")
    printed = resource.definition.get("additionalPrinterColumns")
    if not printed:
        return [_column("Age", _AGE, kind="date")], lambda _: [_AGE_OF]
    columns = [
        _column(
            one["name"],
            one.get("description") or f"Custom resource definition column (in JSONPath format): {one['jsonPath']}",
            kind=one["type"],
            priority=one.get("priority", 0),
        )
        for one in printed
    ]

    def cells(item: Object) -> list[Any]:
        return [_AGE_OF if one["type"] == "date" else _at(item, one["jsonPath"]) for one in printed]

    return columns, cells


def _at(item: Any, path: str) -> Any:
    for step in path.strip(".").split("."):
        item = item.get(step) if isinstance(item, dict) else None
    return item


def bare(item: Object, *, version: str = "v1") -> Object:
    """The metadata of an object."""
    return {"kind": "PartialObjectMetadata", "apiVersion": f"meta.k8s.io/{version}", "metadata": item["metadata"]}


def bare_list(answer: Object, *, version: str) -> Object:
    """The metadata of the objects in a list."""
    return {
        "kind": "PartialObjectMetadataList",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": answer["metadata"],
        "items": [bare(item, version=version) for item in answer["items"]],
    }


def _age(since: str, now: str) -> str:
    form = "%Y-%m-%dT%H:%M:%SZ"
    seconds = int((datetime.strptime(now, form) - datetime.strptime(since, form)).total_seconds())  # noqa: DTZ007
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{max(seconds, 0)}s"
