"""The next step of giving a node another MIG layout, by the label that NVIDIA's MIG manager watches.

The node is cordoned, then it must be empty: no pod with GPUs, and no process on them (gpu-operator#262: MIG was changed
under running jobs). After the label was written, the MIG manager reports in `nvidia.com/mig.config.state`.
Source: https://docs.nvidia.com/datacenter/cloud-native/gpu-operator/latest/gpu-operator-mig.html
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gpuwise.enact.drain import Done, Failed, Wait, stays, uses_gpus
from gpuwise.enact.refusal import Refusal
from gpuwise.model.changes import Repartition
from gpuwise.model.ports import Object
from gpuwise.model.reasons import Reason

CONFIG, STATE = "nvidia.com/mig.config", "nvidia.com/mig.config.state"
_HAMI = "hami.io/node-nvidia-register"


@dataclass(frozen=True, slots=True)
class Relabel:
    """Write the label now."""

    value: str


def layout(change: Repartition, configs: Mapping[str, str]) -> str | Refusal:
    """Return the name of the MIG manager's configuration for a layout.

    Args:
        change: the wanted profiles with their numbers on the whole node.
        configs: names of configurations by layout, as "1g.10gb:7,3g.40gb:2" in the order of the profiles.
    """
    key = ",".join(f"{profile}:{count}" for profile, count in sorted(change.proposed))
    if not key:
        return "all-disabled"
    if key in configs:
        return configs[key]
    hint = "add it to the MIG manager's ConfigMap, and its name to enact.mig_configs"
    return Refusal(Reason.KIND_NOT_SUPPORTED, f"no configuration of the MIG manager is known for {key}: {hint}")


def not_here(node: Object, slices: Sequence[Object]) -> Refusal | None:
    """Return why the layout of a node is not changed by its label, None if it may be.

    Args:
        node: the node.
        slices: the cluster's ResourceSlices: where NVIDIA's DRA driver offers the GPUs, it partitions them itself.
    """
    metadata = node["metadata"]
    labels = metadata.get("labels") or {}
    name = metadata["name"]
    if _HAMI in (metadata.get("annotations") or {}):
        return Refusal(Reason.NOT_APPLICABLE, "HAMi divides the GPUs of this node")
    if any(one["spec"].get("nodeName") == name and one["spec"].get("driver") == "gpu.nvidia.com" for one in slices):
        return Refusal(Reason.NOT_APPLICABLE, "NVIDIA's DRA driver divides the GPUs of this node")
    if not labels.get(CONFIG):
        return Refusal(Reason.NOT_APPLICABLE, f"the node has no label {CONFIG}: its layout could not be restored")
    if labels.get(STATE) != "success":
        detail = f"label {STATE} is {labels.get(STATE)!r}, not 'success': no MIG manager is ready on this node"
        return Refusal(Reason.NOT_APPLICABLE, detail)
    return None


def next_step(
    node: Object, wanted: str, pods: Sequence[Object], memory_used: float | None, *, failing: str = ""
) -> Relabel | Wait | Done | Failed:
    """Return what to do next.

    Args:
        node: the node, as read from the API server.
        wanted: value of the label: of the new layout, or of the earlier one while the action fails.
        pods: all pods of the node.
        memory_used: GPU memory in use on the node, bytes; None if it is not known, which is not empty.
        failing: why the node gets its earlier layout again, "" while it need not. It takes pods again only when the MIG
            manager reports that it has that layout.
    """
    labels = node["metadata"].get("labels") or {}
    if not node["spec"].get("unschedulable"):
        return Failed(Reason.CHANGED_BY_OTHERS, "somebody uncordoned the node")
    if labels.get(CONFIG) == wanted:
        return _restored(_reported(labels), failing) if failing else _reported(labels)
    busy = next((pod for pod in pods if _runs(pod) and uses_gpus(pod)), None)
    if busy is not None and stays(busy) and not failing:
        detail = f"pod {busy['metadata']['name']} of a DaemonSet or the kubelet has GPUs of this node, and stays there"
        return Failed(Reason.NOT_APPLICABLE, detail)
    if busy is not None:
        return Wait(f"pod {busy['metadata']['name']} still has GPUs of this node")
    if memory_used is None:
        return Wait("it is not known whether processes use its GPUs")
    if memory_used > 0:
        return Wait(f"processes use {memory_used / 2**30:.1f} GiB of its GPU memory")
    return Relabel(wanted)


def _restored(reported: Wait | Done | Failed, failing: str) -> Wait | Failed:
    """Return the end of an action that failed: without its earlier layout, a node takes no pods again by itself."""
    if isinstance(reported, Done):
        return Failed(Reason.CHECK_FAILED, failing)
    return replace(reported, cordoned=True) if isinstance(reported, Failed) else reported


def _reported(labels: Mapping[str, str]) -> Wait | Done | Failed:
    state = labels.get(STATE, "")
    if state == "success":
        return Done(f"the MIG manager reports success for {labels[CONFIG]}")
    if state == "failed":
        return Failed(Reason.CHECK_FAILED, f"the MIG manager reports that {labels[CONFIG]} failed")
    return Wait(f"the MIG manager reports {state or 'nothing'}")


def _runs(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")
