"""The single steps of a change of a node: one eviction or one label, each with its own intent and outcome."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from gpuwise.enact import drain, partition
from gpuwise.enact.images import Image, change_text, image_of, operations, pointer
from gpuwise.enact.refusal import answered
from gpuwise.enact.settings import EnactSettings
from gpuwise.model.command import Command, Intent, Limit, Outcome, OutcomeStatus
from gpuwise.model.errors import ClusterError, Throttled
from gpuwise.model.ports import ClusterWriter, Ledger, Object
from gpuwise.model.reasons import Reason

_JSON_PATCH = "application/json-patch+json"
# Later than any intent.
_NEVER_S = 2**62
_SPACE = "namespace/"
LAYOUT = pointer("metadata", "labels", partition.CONFIG)
REPORT = pointer("metadata", "labels", partition.STATE)
UID = pointer("metadata", "uid")
"""In both images of an intent: a node of the same name may be created again within the second of a timestamp."""


def patch_node(cluster: ClusterWriter, node: Object, old: Image, new: Image) -> None:
    """Change the touched fields of a node from one image to the other, with its preconditions.

    Raises:
        ClusterError: the server refused the patch, or did not answer.
    """
    path = f"/api/v1/nodes/{node['metadata']['name']}"
    cluster.patch(path, operations(node, old, new), content_type=_JSON_PATCH)


def limits_of(command: Command, settings: EnactSettings, namespace: str = "") -> tuple[Limit, ...]:
    """Return the budgets that one write uses: that of a namespace is used by an eviction there, and by no other.

    Args:
        command: the action.
        settings: the budgets of a command that names none.
        namespace: of the evicted pod, "" for a write to the node.
    """
    found = command.limits or settings.limits
    return tuple(one for one in found if not one.scope.startswith(_SPACE) or one.scope == f"{_SPACE}{namespace}")


def node_intent(
    command: Command, item: Object, before: Image, after: Image, *, now_s: int, limits: Sequence[Limit]
) -> Intent:
    """Return the intent of a write to a node or to one of its pods.

    Args:
        command: the action, or one of its steps.
        item: the object, as read from the API server.
        before: the touched fields.
        after: the same fields afterwards.
        now_s: epoch seconds.
        limits: the budgets that it uses.
    """
    scopes = tuple(limit.scope for limit in limits)
    return Intent(command, now_s, item["metadata"]["resourceVersion"], before, after, scopes=scopes)


class NodeSteps:
    """Writes the steps of an action.

    Args:
        cluster: client with the right to write.
        ledger: where intents and outcomes are recorded.
        settings: limits.
        clock: returns epoch seconds.
    """

    def __init__(
        self, cluster: ClusterWriter, ledger: Ledger, settings: EnactSettings, clock: Callable[[], int]
    ) -> None:
        self._cluster, self._ledger, self._settings, self._clock = cluster, ledger, settings, clock

    def of(self, intent: Intent) -> list[Intent]:
        """The steps of an action so far, also those that an earlier clock dates before its begin."""
        ours, _ = self._ledger.attempts(since_s=_NEVER_S, uids={intent.command.workload.uid})
        return [one for one in ours if one.step_of == intent.command.id]

    def moved(self, intent: Intent, present: frozenset[str]) -> frozenset[tuple[str, str]]:
        """Namespaces and names of the pods that an action evicted.

        Args:
            intent: of the action.
            present: uids of the pods that exist; one of these was not evicted.
        """
        gone = (one.pre_image for one in self.of(intent) if "pod" in one.pre_image)
        names = (one["pod"].split("/", 1) for one in gone if one["uid"] not in present)
        return frozenset((space, name) for space, name in names)

    def is_open(self, intent: Intent) -> bool:
        """Whether the outcome of a step is not known: no other step may begin (I31)."""
        return any(one.step_of == intent.command.id for one in self._ledger.unsettled())

    def evict(self, intent: Intent, pod: Object) -> None:
        """Evict a pod as it was read, unless a budget allows no disruption now: the next call tries again.

        Raises:
            ClusterError: it is not known whether it was evicted.
        """
        metadata = pod["metadata"]
        image = {"pod": f"{metadata['namespace']}/{metadata['name']}", "uid": metadata["uid"]}
        image["controller"] = drain.controller_of(pod)
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/eviction"
        kept = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": metadata["name"], "namespace": metadata["namespace"]},
            "deleteOptions": {"preconditions": kept},
        }
        write = partial(self._cluster.create, path, body)
        self._carry_out(intent, pod, image, {}, write, f"evicted pod {image['pod']}")

    def relabel(self, intent: Intent, node: Object, value: str) -> None:
        """Write the layout's label. The manager's report is about the earlier layout, so it is removed.

        Raises:
            ClusterError: it is not known whether it was written.
        """
        before = image_of(node, {LAYOUT: None, REPORT: None, UID: None})
        after = {LAYOUT: value, UID: before[UID]}
        write = partial(patch_node, self._cluster, node, before, after)
        self._carry_out(intent, node, before, after, write, change_text(before, after))

    def _carry_out(
        self, intent: Intent, item: Object, before: Image, after: Image, write: Callable[[], object], text: str
    ) -> None:
        step = self._begin(intent, item, before, after)
        if step is None:
            return
        try:
            write()
        except ClusterError as error:
            reason = answered(error)
            if reason is None:
                raise
            # 429 is the answer of a PodDisruptionBudget, and of an API server that has too many requests.
            blocked = isinstance(error, Throttled) and "pod" in before
            self._finish(step, OutcomeStatus.NOT_APPLIED, Reason.BLOCKED_BY_PDB if blocked else reason, str(error))
        else:
            self._finish(step, OutcomeStatus.APPLIED, None, text)

    def _begin(self, intent: Intent, item: Object, before: Image, after: Image) -> Intent | None:
        """Record the intent of a step, None if a budget is used up."""
        parent, number = intent.command, len(self.of(intent))
        digest = hashlib.sha256(f"{parent.id}|{item['metadata']['uid']}|{number}".encode()).hexdigest()
        command = replace(parent, id=f"a-{digest[:10]}")
        limits = limits_of(parent, self._settings, item["metadata"].get("namespace", ""))
        found = node_intent(command, item, before, after, now_s=self._clock(), limits=limits)
        step = replace(found, step_of=parent.id)
        used_up = self._ledger.record_intent(step, limits=limits)
        return step if used_up is None else None

    def _finish(self, step: Intent, status: OutcomeStatus, reason: Reason | None, detail: str) -> None:
        self._ledger.record_outcome(Outcome(step.command.id, self._clock(), status, reason, detail))
