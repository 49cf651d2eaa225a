"""Read the object that a command is for."""

from gpuwise.enact.refusal import Refusal
from gpuwise.model.errors import Gone
from gpuwise.model.inventory import WorkloadRef
from gpuwise.model.ports import Access, ClusterReader, Object
from gpuwise.model.reasons import Reason

_COLLECTIONS = {
    "Deployment": ("/apis/apps/v1", "deployments"),
    "StatefulSet": ("/apis/apps/v1", "statefulsets"),
    "Job": ("/apis/batch/v1", "jobs"),
    "Notebook": ("/apis/kubeflow.org/v1", "notebooks"),
}


def path_of(workload: WorkloadRef) -> str | None:
    """Return the API path of a workload, None for a kind that gpuwise does not write."""
    if workload.kind not in _COLLECTIONS:
        return None
    group, plural = _COLLECTIONS[workload.kind]
    return f"{group}/namespaces/{workload.namespace}/{plural}/{workload.name}"


def access_of(workload: WorkloadRef) -> Access:
    """Return the access that is needed to write a workload.

    Args:
        workload: must be of a kind that gpuwise writes.
    """
    group, plural = _COLLECTIONS[workload.kind]
    return Access("patch", group.split("/")[2], plural, workload.namespace, workload.name)


def read_target(cluster: ClusterReader, workload: WorkloadRef) -> Object | Refusal:
    """Read the current object; an object of the same name with another uid is refused.

    Raises:
        ClusterError: the object could not be read.
    """
    path = path_of(workload)
    if path is None:
        return Refusal(Reason.KIND_NOT_SUPPORTED, f"gpuwise does not write a {workload.kind}")
    try:
        item = cluster.get(path)
    except Gone:
        return Refusal(Reason.TARGET_GONE, f"{workload} no longer exists")
    metadata = item["metadata"]
    if metadata["uid"] != workload.uid:
        return Refusal(Reason.TARGET_GONE, f"{workload} was recreated: its uid is now {metadata['uid']}")
    if "deletionTimestamp" in metadata:
        return Refusal(Reason.TARGET_GONE, f"{workload} is being deleted")
    return item
