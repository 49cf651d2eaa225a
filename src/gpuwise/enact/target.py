"""Finding the very object that a command means."""

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
    """Where the API has it, None for a kind that gpuwise does not write."""
    if workload.kind not in _COLLECTIONS:
        return None
    group, plural = _COLLECTIONS[workload.kind]
    return f"{group}/namespaces/{workload.namespace}/{plural}/{workload.name}"


def access_of(workload: WorkloadRef) -> Access:
    """The right to write it.

    Args:
        workload: of a kind that gpuwise writes.
    """
    group, plural = _COLLECTIONS[workload.kind]
    return Access("patch", group.split("/")[2], plural, workload.namespace, workload.name)


def read_target(cluster: ClusterReader, workload: WorkloadRef) -> Object | Refusal:
    """Read the object now; a namesake with another uid is not it.

    Raises:
        ClusterError: it could not be read.
    """
    path = path_of(workload)
    if path is None:
        return Refusal(Reason.KIND_NOT_SUPPORTED, f"gpuwise does not write a {workload.kind}")
    try:
        item = cluster.get(path)
    except Gone:
        return Refusal(Reason.TARGET_GONE, f"{workload} is no more")
    metadata = item["metadata"]
    if metadata["uid"] != workload.uid:
        return Refusal(Reason.TARGET_GONE, f"{workload} was recreated: its uid is {metadata['uid']} now")
    if "deletionTimestamp" in metadata:
        return Refusal(Reason.TARGET_GONE, f"{workload} is being deleted")
    return item
