"""Whether an intent about a node took effect, from the cluster alone: after a crash or a lost response (I8, I31)."""

from gpuwise.enact.effects import FENCE, MARK
from gpuwise.enact.images import image_of
from gpuwise.enact.node_checks import read_node
from gpuwise.enact.node_steps import UID, patch_node
from gpuwise.enact.refusal import Refusal
from gpuwise.model.command import Intent, Outcome, OutcomeStatus
from gpuwise.model.ports import ClusterReader, ClusterWriter
from gpuwise.model.reasons import Reason

_Seen = tuple[OutcomeStatus, Reason | None, str]


def observed(cluster: ClusterReader, intent: Intent, now_s: int) -> Outcome:
    """Decide whether an intent of an action, or of one of its steps, took effect.

    Args:
        cluster: client, used only to read.
        intent: about a node or one of its pods.
        now_s: epoch seconds.

    Raises:
        ClusterError: the node or the pod could not be read.
    """
    status, reason, detail = _pod(cluster, intent) if _evicts(intent) else _node(cluster, intent)
    return Outcome(intent.command.id, now_s, status, reason, detail)


def fenced(cluster: ClusterWriter, intent: Intent, term: str, now_s: int) -> Outcome | None:
    """Change the node, so that a write of an earlier leader that is in flight is refused; then look at it.

    Args:
        cluster: client with the right to write.
        intent: of an earlier term.
        term: the number of this term.
        now_s: epoch seconds.

    Returns:
        The outcome; None for an eviction: nothing of gpuwise may change a pod, so it is looked at again later.

    Raises:
        ClusterError: the node could not be read or written.
    """
    if _evicts(intent):
        return None
    node = read_node(cluster, intent.command)
    fence = {FENCE: term}
    if not isinstance(node, Refusal) and (before := image_of(node, fence)) != fence:
        patch_node(cluster, node, before, fence)
    return observed(cluster, intent, now_s)


def _evicts(intent: Intent) -> bool:
    return bool(intent.step_of) and "pod" in intent.pre_image


def _pod(cluster: ClusterReader, intent: Intent) -> _Seen:
    namespace, name = intent.pre_image["pod"].split("/")
    pods = cluster.list(f"/api/v1/namespaces/{namespace}/pods", field_selector=f"metadata.name={name}")
    same = [one for one in pods if one["metadata"]["uid"] == intent.pre_image["uid"]]
    if any("deletionTimestamp" not in one["metadata"] for one in same):
        return OutcomeStatus.NOT_APPLIED, Reason.NO_EFFECT, f"pod {name} was not evicted"
    return OutcomeStatus.APPLIED, None, f"pod {name} has left the node"


def _node(cluster: ClusterReader, intent: Intent) -> _Seen:
    node = read_node(cluster, intent.command)
    actual = {} if isinstance(node, Refusal) else image_of(node, intent.post_image)
    if actual.get(UID) != intent.post_image.get(UID):
        detail = f"node {intent.command.workload.name} no longer exists, or was created again"
        unknown = "it is not known whether it was changed before"
        return OutcomeStatus.FAILED, Reason.TARGET_GONE, f"{detail}; {unknown}"
    if intent.step_of and actual == intent.post_image:
        return OutcomeStatus.APPLIED, None, "found in place"
    if not intent.step_of and actual.get(MARK) == intent.command.id:
        return OutcomeStatus.WATCHING, None, "found in place; steps follow"
    return OutcomeStatus.NOT_APPLIED, Reason.NO_EFFECT, "the node does not contain this change: it was never written"
