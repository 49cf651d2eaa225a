"""Read the object that a command is for."""

from dataclasses import dataclass

from gpuwise.enact.images import Image, operations
from gpuwise.enact.refusal import Refusal
from gpuwise.model.errors import Forbidden, Gone
from gpuwise.model.inventory import WorkloadRef
from gpuwise.model.kinds import KINDS, QUEUED, Kind, refused
from gpuwise.model.ownership import QUEUE_OWNER, job_owners
from gpuwise.model.ports import Access, ClusterReader, ClusterWriter, Object
from gpuwise.model.reasons import Reason

_JSON_PATCH = "application/json-patch+json"


@dataclass(frozen=True, slots=True)
class Target:
    """The object that an effect writes.

    Attributes:
        kind: row of the table of kinds for the written object.
        path: API path of the written object.
        item: the written object, as read from the API server.
        workload: the workload's own object; another one than `item` only for a job in a queue of Kueue.
    """

    kind: Kind
    path: str
    item: Object
    workload: Object


def access_of(workload: WorkloadRef, kind: Kind | None = None) -> Access:
    """Return the access that is needed to write a workload.

    Args:
        workload: must be of a kind that gpuwise writes.
        kind: of the object that is written; None for the workload's own kind.
    """
    row = kind or KINDS[workload.kind]
    name = workload.name if kind is None or kind.name == workload.kind else ""
    return Access("patch", row.group, row.resource, workload.namespace, name)


def read_target(cluster: ClusterReader, workload: WorkloadRef) -> Target | Refusal:
    """Read the current object; an object of the same name with another uid is refused.

    A job in a queue of Kueue is stopped and started by its Workload, because Kueue reverts any other write.

    Raises:
        ClusterError: the object could not be read.
    """
    kind = KINDS.get(workload.kind)
    if kind is None or not kind.stop:
        return Refusal(Reason.KIND_NOT_SUPPORTED, refused(workload.kind))
    found = read_object(cluster, kind, workload.namespace, workload.name)
    if isinstance(found, Refusal):
        return found
    metadata = found.item["metadata"]
    if metadata["uid"] != workload.uid:
        return Refusal(Reason.TARGET_GONE, f"{workload} was recreated: its uid is now {metadata['uid']}")
    if "deletionTimestamp" in metadata:
        return Refusal(Reason.TARGET_GONE, f"{workload} is being deleted")
    return through_queue(cluster, found)


def read_object(cluster: ClusterReader, kind: Kind, namespace: str, name: str) -> Target | Refusal:
    """Read an object in the first version that the cluster serves, of those whose fields are known.

    Args:
        cluster: client, used only to read.
        kind: row of the table of kinds.
        namespace: of the object.
        name: of the object.

    Raises:
        ClusterError: the object could not be read.
    """
    for version in kind.versions:
        path = kind.path(namespace, name, version)
        try:
            item = cluster.get(path)
        except Gone:
            continue
        return Target(kind, path, item, item)
    return _absent(cluster, kind, f"{namespace}/{kind.name}/{name}")


def _absent(cluster: ClusterReader, kind: Kind, name: str) -> Refusal:
    """Return why an object was not found: it does not exist, or the cluster serves only unknown versions of its API."""
    try:
        found = cluster.get(f"/apis/{kind.group}").get("versions") or []
    except (Gone, Forbidden):
        found = []
    served = {one["version"] for one in found}
    if served and not served & set(kind.versions):
        known = ", ".join(kind.versions)
        detail = f"the cluster serves {kind.group} in {', '.join(sorted(served))}; gpuwise knows the fields of {known}"
        return Refusal(Reason.KIND_NOT_SUPPORTED, f"{detail}: change {name} yourself, and report the version")
    return Refusal(Reason.TARGET_GONE, f"{name} no longer exists")


def through_queue(cluster: ClusterReader, target: Target) -> Target | Refusal:
    """Return Kueue's Workload as the object to write if a job is in a queue of Kueue, else the target itself."""
    owners = job_owners(target.kind.name, target.item)
    if not owners or not all(owner.startswith(QUEUE_OWNER) for owner in owners):
        return target
    metadata = target.item["metadata"]
    for version in QUEUED.versions:
        collection = f"/apis/{QUEUED.group}/{version}/namespaces/{metadata['namespace']}/{QUEUED.resource}"
        for one in cluster.list_optional(collection):
            if any(owner["uid"] == metadata["uid"] for owner in one["metadata"].get("ownerReferences") or ()):
                return Target(QUEUED, f"{collection}/{one['metadata']['name']}", one, target.item)
    detail = f"{', '.join(owners)} sets spec.suspend, and has no Workload for it in a version that gpuwise knows"
    return Refusal(Reason.MANAGED_BY_OTHER, f"{detail}: change it there")


def patch_target(cluster: ClusterWriter, target: Target, old: Image, new: Image) -> None:
    """Change the touched fields of an object from one image to the other, with its preconditions.

    Raises:
        ClusterError: the server refused the patch, or did not answer.
    """
    cluster.patch(target.path, operations(target.item, old, new), content_type=_JSON_PATCH)
