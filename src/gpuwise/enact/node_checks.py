"""What forbids a change of a node now, by reads alone."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from gpuwise.enact import partition
from gpuwise.enact.guard import mode_refusals
from gpuwise.enact.refusal import Refusal
from gpuwise.enact.settings import EnactSettings
from gpuwise.enact.stop_switch import stopped
from gpuwise.enact.target import Target, read_object
from gpuwise.model.changes import FreeNode, Repartition
from gpuwise.model.command import Command, Mode
from gpuwise.model.errors import Gone
from gpuwise.model.kinds import KINDS
from gpuwise.model.ports import Access, ClusterReader, Object
from gpuwise.model.protection import SYSTEM_NAMESPACES, marks, protection
from gpuwise.model.reasons import Reason


def node_refusal(cluster: ClusterReader, command: Command, settings: EnactSettings) -> Refusal | None:
    """Return why a command about a node is not carried out now, None if it is.

    Raises:
        ClusterError: the node could not be read.
    """
    found = prepared_node(cluster, command, settings)
    return found if isinstance(found, Refusal) else None


def prepared_node(cluster: ClusterReader, command: Command, settings: EnactSettings) -> Object | Refusal:
    """Return the node of a command as it is now, or what forbids the command.

    Args:
        cluster: client, used only to read.
        command: about a node.
        settings: whether nodes are changed at all, and what protects one.

    Raises:
        ClusterError: the node could not be read.
    """
    if not settings.nodes:
        return Refusal(Reason.KIND_NOT_SUPPORTED, "enact.nodes is false: the owner of the node makes this change")
    if (stop := stopped(cluster, settings, actor=command.actor)) is not None:
        return stop
    node = read_node(cluster, command)
    if isinstance(node, Refusal):
        return node
    if (refused := protected_node(node, command, settings)) is not None:
        return refused
    if node["spec"].get("unschedulable"):
        return Refusal(Reason.CHANGED_SINCE_PLANNED, "somebody cordoned the node already")
    if isinstance(command.change, FreeNode):
        workloads = sorted({workload for workload, _, _ in command.change.moves})
        missing = _missing_right(cluster, workloads)
        # What protects the pods is read last: between this and the cordon somebody may protect them.
        found_each = (protected_move(cluster, one, command, settings) for one in workloads)
        return next((one for one in found_each if one is not None), missing or node)
    assert isinstance(command.change, Repartition), "no other change of a node is enactable"
    wanted = partition.layout(command.change, settings.mig_configs)
    slices = cluster.list_optional("/apis/resource.k8s.io/v1/resourceslices")
    return wanted if isinstance(wanted, Refusal) else partition.not_here(node, slices) or node


def _missing_right(cluster: ClusterReader, workloads: Iterable[str]) -> Refusal | None:
    """Return a refusal if this identity may not evict the pods: the node would be cordoned until its time is over."""
    for space in sorted({one.split("/")[0] for one in workloads}):
        access = Access("create", "", "pods/eviction", space)
        if cluster.may(access) is False:
            hint = "add the namespace to the chart's enforce.namespaces, or grant the right with a Role"
            return Refusal(Reason.NO_RIGHT, f"this identity may not {access}: {hint}")
    return None


def protected_node(node: Object, command: Command, settings: EnactSettings) -> Refusal | None:
    """Return why a node is not changed by its own marks, None if it may be (I10).

    Args:
        node: the node, as read from the API server.
        command: whether automation or a person changes it.
        settings: what protects a node, and the mode of one that sets none.
    """
    found = protection(marks(node["metadata"]), settings.protections)
    if found is not None:
        return Refusal(found[0], f"the node is protected: {found[1]}")
    return next(mode_refusals(command, [node], settings.default_mode), None)


def protected_move(cluster: ClusterReader, workload: str, command: Command, settings: EnactSettings) -> Refusal | None:
    """Return why no pod of a workload is evicted now, None if it may be (I10).

    The mode of the node decides about a workload that sets none and whose namespace sets none.

    Args:
        cluster: client, used only to read.
        workload: "namespace/Kind/name", as a plan names it.
        command: about the node.
        settings: the protected namespaces, and what protects an object.

    Raises:
        ClusterError: the namespace or the workload could not be read.
    """
    space, kind, name = workload.split("/", 2)
    if space in SYSTEM_NAMESPACES or space in settings.protected_namespaces:
        return Refusal(Reason.PROTECTED_NAMESPACE, f"the namespace {space} is protected: gpuwise never changes it")
    places = [("namespace", cluster.get(f"/api/v1/namespaces/{space}"))]
    owner = read_object(cluster, KINDS[kind], space, name) if kind in KINDS else None
    if isinstance(owner, Target):
        places.append((kind, owner.item))
    for what, item in places:
        found = protection(marks(item["metadata"]), settings.protections)
        if found is not None:
            return Refusal(found[0], f"the {what} {item['metadata']['name']} is protected: {found[1]}")
    modes = mode_refusals(command, [item for _, item in reversed(places)], Mode.ENFORCE)
    found_mode = next(modes, None)
    return None if found_mode is None else replace(found_mode, detail=f"{found_mode.detail}, for {workload}")


def read_node(cluster: ClusterReader, command: Command) -> Object | Refusal:
    """Read the node of a command; one that was created after the recommendation is another machine.

    Args:
        cluster: client, used only to read.
        command: about a node.

    Raises:
        ClusterError: the node could not be read.
    """
    name = command.workload.name
    try:
        node = cluster.get(f"/api/v1/nodes/{name}")
    except Gone:
        return Refusal(Reason.TARGET_GONE, f"node {name} no longer exists")
    made_s = datetime.fromisoformat(node["metadata"]["creationTimestamp"]).timestamp()
    if command.because is not None and made_s > command.because.created_s:
        return Refusal(Reason.TARGET_GONE, f"node {name} was created after the recommendation was made")
    return node
