"""Carry out changes of nodes, one step at a time: cordon, then evict or relabel, then leave or uncordon.

Each write has an intent before it and an outcome after it. What to do next is decided from the cluster by `drain` and
`partition`, so a process that starts later goes on where another one ended.
"""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from gpuwise.enact import drain, partition
from gpuwise.enact.effects import FENCE, MARK
from gpuwise.enact.images import Image, change_text, image_of, operations, pointer
from gpuwise.enact.node_checks import prepared_node, read_node
from gpuwise.enact.refusal import Refusal
from gpuwise.enact.settings import EnactSettings
from gpuwise.enact.stop_switch import stopped
from gpuwise.model.changes import FreeNode, Repartition
from gpuwise.model.command import Command, Intent, Outcome, OutcomeStatus, ServiceLevel, Watch
from gpuwise.model.errors import ClusterError, Gone, SourceError, Throttled
from gpuwise.model.labels import ACTION_ID, EXPIRES
from gpuwise.model.ports import ClusterWriter, Ledger, Levels, Object
from gpuwise.model.reasons import Reason

_IN_PLACE = (OutcomeStatus.APPLIED, OutcomeStatus.WATCHING)
_NEVER = Reason.NO_EFFECT
_JSON_PATCH = "application/json-patch+json"
CORDON = pointer("spec", "unschedulable")
LAYOUT = pointer("metadata", "labels", partition.CONFIG)
REPORT = pointer("metadata", "labels", partition.STATE)
UNTIL = pointer("metadata", "annotations", EXPIRES)


class NodeActions:
    """The writer to nodes.

    Args:
        cluster: client with the right to write.
        ledger: where intents and outcomes are recorded.
        settings: limits.
        clock: returns epoch seconds.
        levels: where the GPU memory in use is measured; None if it cannot be.
    """

    def __init__(
        self,
        cluster: ClusterWriter,
        ledger: Ledger,
        settings: EnactSettings,
        clock: Callable[[], int],
        levels: Levels | None,
    ) -> None:
        self._cluster, self._ledger, self._settings = cluster, ledger, settings
        self._clock, self._levels = clock, levels

    def start(self, command: Command) -> Outcome:
        """Cordon the node, with the id of the action and the time until which it may take."""
        node: Object | Refusal
        try:
            node = prepared_node(self._cluster, command, self._settings)
        except ClusterError as error:
            node = Refusal(Reason.REFUSED_BY_CLUSTER, str(error))
        now_s = self._clock()
        if isinstance(node, Refusal):
            return Outcome(command.id, now_s, OutcomeStatus.NOT_APPLIED, node.reason, node.detail)
        until_s = now_s + self._settings.node_action_s
        touched = [CORDON, MARK, UNTIL, *([LAYOUT] if isinstance(command.change, Repartition) else [])]
        before = image_of(node, dict.fromkeys(touched))
        after = before | {CORDON: True, MARK: command.id, UNTIL: _time(until_s)}
        if self._settings.dry_run:
            text = change_text(before, after)
            return Outcome(command.id, now_s, OutcomeStatus.WOULD_APPLY, None, text)
        intent = self._intent(command, node, before, after, now_s)
        intent = replace(intent, watch=Watch(until_s))
        used_up = self._ledger.record_intent(intent, limits=command.limits or self._settings.limits)
        if used_up is not None:
            detail = f"the budget of {used_up} is used up"
            return Outcome(command.id, now_s, OutcomeStatus.NOT_APPLIED, Reason.BUDGET_EXHAUSTED, detail)
        try:
            self._patch(node, before, after)
        except ClusterError as error:
            return self._recorded(Outcome(command.id, now_s, OutcomeStatus.UNKNOWN, Reason.OUTCOME_UNKNOWN, str(error)))
        return self._recorded(
            Outcome(command.id, now_s, OutcomeStatus.WATCHING, None, f"{change_text(before, after)}; steps follow")
        )

    def follow(self, intent: Intent) -> Outcome | None:
        """Do the next step of an action; return its outcome if it ended, else None.

        Raises:
            ClusterError: something could not be read or written: the next call tries again.
        """
        node = self._read(intent.command)
        if isinstance(node, Refusal):
            done = isinstance(intent.command.change, FreeNode) and node.reason is Reason.TARGET_GONE
            status = OutcomeStatus.APPLIED if done else OutcomeStatus.FAILED
            return self._recorded(
                Outcome(intent.command.id, self._clock(), status, None if done else node.reason, node.detail)
            )
        if image_of(node, {MARK: None}).get(MARK) != intent.command.id:
            detail = "the mark of this action is gone from the node: somebody undid it"
            return self._end(intent, None, drain.Failed(Reason.CHANGED_BY_OTHERS, detail))
        step = self._step(intent, node)
        assert intent.watch is not None
        if not isinstance(step, drain.Done | drain.Failed) and self._clock() >= intent.watch.until_s:
            waited = step.detail if isinstance(step, drain.Wait) else "not all steps were done"
            step = drain.Failed(Reason.CHECK_FAILED, f"its time is over: {waited}")
        if isinstance(step, drain.Done | drain.Failed):
            return self._end(intent, node, step)
        if stopped(self._cluster, self._settings, actor=intent.command.actor) is not None:
            return None  # the action waits, and its time goes on
        if isinstance(step, drain.Evict):
            self._evict(intent, step.pod)
        elif isinstance(step, partition.Relabel):
            self._relabel(intent, node, step.value)
        return None

    def observed(self, intent: Intent) -> Outcome:
        """Decide from the cluster whether an intent of an action, or of one of its steps, took effect.

        Raises:
            ClusterError: the node or the pod could not be read.
        """
        status, detail = self._took_effect(intent)
        return Outcome(intent.command.id, self._clock(), status, None if status in _IN_PLACE else _NEVER, detail)

    def _took_effect(self, intent: Intent) -> tuple[OutcomeStatus, str]:
        if intent.step_of and "pod" in intent.pre_image:
            namespace, name = intent.pre_image["pod"].split("/")
            pods = self._cluster.list(f"/api/v1/namespaces/{namespace}/pods", field_selector=f"metadata.name={name}")
            same = [one for one in pods if one["metadata"]["uid"] == intent.pre_image["uid"]]
            if any("deletionTimestamp" not in one["metadata"] for one in same):
                return OutcomeStatus.NOT_APPLIED, f"pod {name} was not evicted"
            return OutcomeStatus.APPLIED, f"pod {name} was evicted"
        node = self._read(intent.command)
        actual = {} if isinstance(node, Refusal) else image_of(node, intent.post_image)
        if intent.step_of:
            done = actual == intent.post_image
            return (OutcomeStatus.APPLIED if done else OutcomeStatus.NOT_APPLIED), "read from the node"
        marked = actual.get(MARK) == intent.command.id
        return (OutcomeStatus.WATCHING if marked else OutcomeStatus.NOT_APPLIED), "read from the node"

    def fenced(self, intent: Intent, term: str) -> Outcome | None:
        """Change the node, so that a write of an earlier leader that is in flight is refused; then look at it.

        Args:
            intent: of an earlier term.
            term: the number of this term.

        Returns:
            The outcome; None for an eviction, which names the pod's uid and cannot be fenced: it is looked at again.

        Raises:
            ClusterError: the node could not be read or written.
        """
        if intent.step_of and "pod" in intent.pre_image:
            return None
        node = self._read(intent.command)
        if not isinstance(node, Refusal):
            self._patch(node, image_of(node, {FENCE: ""}), {FENCE: term})
        return self.observed(intent)

    def undo(self, intent: Intent) -> Outcome:
        """Uncordon the node, and restore its layout label; evicted pods stay where they are."""
        node, now_s = self._read(intent.command), self._clock()
        if isinstance(node, Refusal):
            return Outcome(intent.command.id, now_s, OutcomeStatus.FAILED, node.reason, node.detail)
        detail = self._uncordoned(intent, node)
        return self._recorded(Outcome(intent.command.id, now_s, OutcomeStatus.UNDONE, None, detail))

    def reap(self) -> None:
        """Uncordon the nodes whose action has expired and is not open in the ledger (autoscaler#5048)."""
        open_ids = {intent.command.id for intent in self._ledger.unsettled()}
        for node in self._cluster.list("/api/v1/nodes"):
            annotations = node["metadata"].get("annotations") or {}
            if EXPIRES not in annotations or annotations.get(ACTION_ID) in open_ids:
                continue
            if _expired(annotations[EXPIRES], self._clock()):
                before = image_of(node, {CORDON: None, MARK: None, UNTIL: None})
                self._patch(node, before, {})

    def _read(self, command: Command) -> Object | Refusal:
        return read_node(self._cluster, command)

    def _step(self, intent: Intent, node: Object) -> drain.Step | partition.Relabel:
        name, change = node["metadata"]["name"], intent.command.change
        pods = self._cluster.list("/api/v1/pods", field_selector=f"spec.nodeName={name}")
        if isinstance(change, Repartition):
            wanted = partition.layout(change, self._settings.mig_configs)
            assert isinstance(wanted, str), "it was checked before the cordon"
            return partition.next_step(node, wanted, pods, self._memory_used(name))
        assert isinstance(change, FreeNode)
        for namespace in sorted({workload.split("/")[0] for workload, _, _ in change.moves}):
            pods += self._cluster.list(f"/api/v1/namespaces/{namespace}/pods")
        evicted = frozenset(one.pre_image.get("controller", "") for one in self._steps(intent))
        once = {pod["metadata"]["uid"]: pod for pod in pods}
        return drain.next_step(node, change, list(once.values()), evicted - {""})

    def _steps(self, intent: Intent) -> list[Intent]:
        return [one for one in self._ledger.intents(since_s=intent.at_s) if one.step_of == intent.command.id]

    def _memory_used(self, node: str) -> float | None:
        if self._levels is None or not self._settings.node_memory_query:
            return None
        query = self._settings.node_memory_query.replace("$node", node)
        try:
            return self._levels.value(ServiceLevel("GPU memory in use", query))
        except SourceError:
            return None

    def _evict(self, intent: Intent, pod: Object) -> None:
        """Evict a pod, unless a budget allows no disruption now: the next call tries again."""
        metadata = pod["metadata"]
        image = {"pod": f"{metadata['namespace']}/{metadata['name']}", "uid": metadata["uid"]}
        image["controller"] = drain.controller_of(pod)
        step = self._begin(intent, pod, image, {})
        if step is None:
            return
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": metadata["name"], "namespace": metadata["namespace"]},
            "deleteOptions": {"preconditions": {"uid": metadata["uid"]}},
        }
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/eviction"
        try:
            self._cluster.create(path, body)
        except Throttled as error:
            self._finish(step, OutcomeStatus.NOT_APPLIED, Reason.BLOCKED_BY_PDB, str(error))
        except Gone as error:
            self._finish(step, OutcomeStatus.NOT_APPLIED, Reason.TARGET_GONE, str(error))
        else:
            self._finish(step, OutcomeStatus.APPLIED, None, f"evicted pod {image['pod']}")

    def _relabel(self, intent: Intent, node: Object, value: str) -> None:
        # The manager's report is about the earlier layout: without it, the next "success" is about the new one.
        before = image_of(node, {LAYOUT: None, REPORT: None})
        step = self._begin(intent, node, before, {LAYOUT: value})
        if step is not None:
            self._patch(node, before, {LAYOUT: value})
            self._finish(step, OutcomeStatus.APPLIED, None, change_text(before, {LAYOUT: value}))

    def _begin(self, intent: Intent, item: Object, before: Image, after: Image) -> Intent | None:
        """Record the intent of a step, None if a budget is used up."""
        parent, number = intent.command, len(self._steps(intent))
        digest = hashlib.sha256(f"{parent.id}|{item['metadata']['uid']}|{number}".encode()).hexdigest()
        command = replace(parent, id=f"a-{digest[:10]}")
        step = replace(self._intent(command, item, before, after, self._clock()), step_of=parent.id)
        used_up = self._ledger.record_intent(step, limits=parent.limits or self._settings.limits)
        return step if used_up is None else None

    def _finish(self, step: Intent, status: OutcomeStatus, reason: Reason | None, detail: str) -> None:
        self._recorded(Outcome(step.command.id, self._clock(), status, reason, detail))

    def _end(self, intent: Intent, node: Object | None, step: drain.Done | drain.Failed) -> Outcome:
        failed, detail = isinstance(step, drain.Failed), step.detail
        if node is not None:
            # A node that was drained stays cordoned. One with another MIG layout takes pods again.
            if failed or isinstance(intent.command.change, Repartition):
                detail = f"{detail}; {self._uncordoned(intent, node, keep_layout=not failed)}"
            else:
                self._patch(node, image_of(node, {UNTIL: None}), {})
        reason = step.reason if isinstance(step, drain.Failed) else None
        status = OutcomeStatus.APPLIED if not failed else OutcomeStatus.REVERTED
        return self._recorded(Outcome(intent.command.id, self._clock(), status, reason, detail))

    def _uncordoned(self, intent: Intent, node: Object, *, keep_layout: bool = False) -> str:
        now = image_of(node, intent.pre_image, intent.post_image)
        wanted = {at: value for at, value in intent.pre_image.items() if at != LAYOUT or not keep_layout}
        if keep_layout and LAYOUT in now:
            wanted[LAYOUT] = now[LAYOUT]
        self._patch(node, now, wanted)
        return f"uncordoned: {change_text(now, wanted)}"

    def _intent(self, command: Command, item: Object, before: Image, after: Image, now_s: int) -> Intent:
        scopes = tuple(limit.scope for limit in command.limits or self._settings.limits)
        return Intent(command, now_s, item["metadata"]["resourceVersion"], before, after, scopes=scopes)

    def _patch(self, node: Object, old: Image, new: Image) -> None:
        path = f"/api/v1/nodes/{node['metadata']['name']}"
        self._cluster.patch(path, operations(node, old, new), content_type=_JSON_PATCH)

    def _recorded(self, outcome: Outcome) -> Outcome:
        self._ledger.record_outcome(outcome)
        return outcome


def _time(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _expired(until: str, now_s: int) -> bool:
    try:
        return datetime.fromisoformat(until).timestamp() <= now_s
    except ValueError:  # somebody changed the annotation: it marks no time, and a person decides
        return False
