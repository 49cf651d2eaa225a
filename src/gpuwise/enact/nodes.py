"""Carry out changes of nodes, one step at a time: cordon, then evict or relabel, then leave or uncordon.

Each write has an intent before it and an outcome after it. What to do next is decided from the cluster by `drain` and
`partition`, so a process that starts later goes on where another one ended.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from gpuwise.enact import drain, partition
from gpuwise.enact.effects import MARK
from gpuwise.enact.images import change_text, image_of, pointer
from gpuwise.enact.node_checks import prepared_node, protected_move, protected_node, read_node
from gpuwise.enact.node_steps import LAYOUT, UID, NodeSteps, limits_of, node_intent, patch_node
from gpuwise.enact.refusal import Refusal, answered
from gpuwise.enact.settings import EnactSettings
from gpuwise.enact.stop_switch import stopped
from gpuwise.model.changes import FreeNode, Repartition
from gpuwise.model.command import Command, Intent, Outcome, OutcomeStatus, ServiceLevel, Watch, pause_in_force
from gpuwise.model.errors import ClusterError, Denied, Forbidden, SourceError
from gpuwise.model.labels import ACTION_ID, EXPIRES
from gpuwise.model.ports import ClusterWriter, Fit, Ledger, Levels, Object
from gpuwise.model.reasons import Reason

CORDON = pointer("spec", "unschedulable")
UNTIL = pointer("metadata", "annotations", EXPIRES)
_OURS = (CORDON, MARK, UNTIL)
_SWITCHED_OFF = "enact.nodes is false now"
_Step = drain.Step | partition.Relabel


class NodeActions:
    """The writer to nodes.

    Args:
        cluster: client with the right to write.
        ledger: where intents and outcomes are recorded.
        settings: limits.
        clock: returns epoch seconds.
        levels: where the GPU memory in use is measured; None if it cannot be.
        fit: looks for a node for an evicted pod; None does not check it.
    """

    def __init__(
        self,
        cluster: ClusterWriter,
        ledger: Ledger,
        settings: EnactSettings,
        clock: Callable[[], int],
        levels: Levels | None,
        fit: Fit | None = None,
    ) -> None:
        self._cluster, self._ledger, self._settings = cluster, ledger, settings
        self._clock, self._levels, self._fit = clock, levels, fit
        self._steps = NodeSteps(cluster, ledger, settings, clock)

    def start(self, command: Command) -> Outcome:
        """Cordon the node, with the id of the action and the time until which it may take."""
        try:
            node = prepared_node(self._cluster, command, self._settings)
        except ClusterError as error:
            node = Refusal(Reason.REFUSED_BY_CLUSTER, str(error))
        now_s = self._clock()
        if isinstance(node, Refusal):
            return Outcome(command.id, now_s, OutcomeStatus.NOT_APPLIED, node.reason, node.detail)
        until_s = now_s + self._settings.node_action_s
        # The layout is not changed here: the images keep what it was.
        kept = (LAYOUT,) if isinstance(command.change, Repartition) else ()
        before = image_of(node, dict.fromkeys((*_OURS, *kept, UID)))
        after = before | {CORDON: True, MARK: command.id, UNTIL: _time(until_s)}
        if self._settings.dry_run:
            return Outcome(command.id, now_s, OutcomeStatus.WOULD_APPLY, None, change_text(before, after))
        limits = limits_of(command, self._settings)
        intent = node_intent(command, node, before, after, now_s=now_s, limits=limits)
        return self._cordoned(replace(intent, watch=Watch(until_s)), node)

    def _cordoned(self, intent: Intent, node: Object) -> Outcome:
        command, now_s = intent.command, intent.at_s
        try:
            used_up = self._ledger.record_intent(intent, limits=limits_of(command, self._settings))
        except ClusterError as error:
            detail = f"the ledger head could not be stored in the cluster, so nothing was written: {error}"
            return Outcome(command.id, now_s, OutcomeStatus.NOT_APPLIED, Reason.REFUSED_BY_CLUSTER, detail)
        if used_up is not None:
            detail = f"the budget of {used_up} is used up"
            return Outcome(command.id, now_s, OutcomeStatus.NOT_APPLIED, Reason.BUDGET_EXHAUSTED, detail)
        try:
            patch_node(self._cluster, node, intent.pre_image, intent.post_image)
        except ClusterError as error:
            reason = answered(error)
            status = OutcomeStatus.UNKNOWN if reason is None else OutcomeStatus.NOT_APPLIED
            return self._ended(intent, status, reason or Reason.OUTCOME_UNKNOWN, str(error))
        text = change_text(intent.pre_image, intent.post_image)
        return self._ended(intent, OutcomeStatus.WATCHING, None, f"{text}; steps follow")

    def follow(self, intent: Intent) -> Outcome | None:
        """Do the next step of an action; return its outcome if it ended, else None.

        Raises:
            ClusterError: something could not be read or written: the next call tries again.
        """
        if self._steps.is_open(intent):
            return None
        node = read_node(self._cluster, intent.command)
        if isinstance(node, Refusal):
            done = isinstance(intent.command.change, FreeNode) and node.reason is Reason.TARGET_GONE
            status = OutcomeStatus.APPLIED if done else OutcomeStatus.FAILED
            return self._ended(intent, status, None if done else node.reason, node.detail)
        if image_of(node, {MARK: None}).get(MARK) != intent.command.id:
            return self._unmarked(intent, node)
        step = self._next(intent, node)
        if isinstance(step, drain.Done | drain.Failed):
            last = self._ledger.outcome(intent.command.id)
            if last is None or last.status is not OutcomeStatus.WATCHING:
                return None  # since the node was read, somebody undid the action or another process ended it
            return self._end(intent, node, step)
        if not self._stopped(intent):  # else the action waits, and its time goes on
            if isinstance(step, drain.Evict):
                self._steps.evict(intent, step.pod)
            elif isinstance(step, partition.Relabel):
                self._steps.relabel(intent, node, step.value)
        return None

    def _stopped(self, intent: Intent) -> bool:
        paused = pause_in_force(self._ledger.directives()) is not None
        return paused or stopped(self._cluster, self._settings, actor=intent.command.actor) is not None

    def _unmarked(self, intent: Intent, node: Object) -> Outcome:
        """Return the outcome of an action whose mark is gone: it ended here without recording that, or by somebody."""
        change, now = intent.command.change, image_of(node, intent.post_image)
        if isinstance(change, Repartition) and now.get(LAYOUT) == partition.layout(change, self._settings.mig_configs):
            return self._ended(intent, OutcomeStatus.APPLIED, None, f"found in place: {LAYOUT} is {now[LAYOUT]}")
        detail = "the mark of this action is gone from the node: it was uncordoned"
        return self._ended(intent, OutcomeStatus.REVERTED, Reason.CHANGED_BY_OTHERS, detail)

    def undo(self, intent: Intent) -> Outcome:
        """Uncordon the node; evicted pods stay where they are, and so does a layout that was written.

        Its outcome is open from before the write, as that of every undo.

        Raises:
            ClusterError: the node could not be read or written.
        """
        node, now_s, command_id = read_node(self._cluster, intent.command), self._clock(), intent.command.id
        refusal = node if isinstance(node, Refusal) else self._not_undone(intent, node)
        if isinstance(node, Refusal) or refusal is not None:
            assert refusal is not None
            return Outcome(command_id, now_s, OutcomeStatus.FAILED, refusal.reason, refusal.detail)
        text = _uncordoning(intent, node)
        if self._settings.dry_run:
            return Outcome(command_id, now_s, OutcomeStatus.WOULD_APPLY, None, text)
        last = self._ledger.outcome(command_id)
        if last is None or last.status is OutcomeStatus.UNKNOWN:
            last = self._ended(intent, OutcomeStatus.WATCHING, None, "read from the node")
        self._ended(intent, OutcomeStatus.UNKNOWN, Reason.OUTCOME_UNKNOWN, f"undo began: {text}")
        try:
            self._uncordon(intent, node)
        except ClusterError as error:
            if answered(error) is not None:
                self._ledger.record_outcome(replace(last, at_s=now_s))
            raise
        return self._ended(intent, OutcomeStatus.UNDONE, None, text)

    def _not_undone(self, intent: Intent, node: Object) -> Refusal | None:
        """Return why an action is not undone, None if it is: a layout changes on an empty, cordoned node only (I21)."""
        now, change = image_of(node, intent.pre_image, intent.post_image), intent.command.change
        if isinstance(change, Repartition) and now.get(LAYOUT) != intent.pre_image.get(LAYOUT):
            detail = (
                f"the node has layout {now.get(LAYOUT)}: pods may use it. Recommend and apply the earlier one again"
            )
            return Refusal(Reason.NOT_REVERSIBLE, detail)
        if now.get(MARK) != intent.command.id:
            return Refusal(Reason.CHANGED_BY_OTHERS, "the mark of this action is gone from the node: it was uncordoned")
        return None

    def reap(self) -> None:
        """Uncordon the nodes whose action has expired and is not open in the ledger (autoscaler#5048)."""
        open_ids = {intent.command.id for intent in self._ledger.unsettled()}
        for node in self._cluster.list("/api/v1/nodes"):
            annotations = node["metadata"].get("annotations") or {}
            if EXPIRES not in annotations or annotations.get(ACTION_ID) in open_ids:
                continue
            if _expired(annotations[EXPIRES], self._clock()):
                with suppress(ClusterError):  # the next pass tries again; the other nodes are reaped now
                    patch_node(self._cluster, node, image_of(node, dict.fromkeys(_OURS)), {})

    def _next(self, intent: Intent, node: Object) -> _Step:
        """Return the next step. When its time is over, an action ends as if it had failed."""
        change, name = intent.command.change, node["metadata"]["name"]
        pods = self._cluster.list("/api/v1/pods", field_selector=f"spec.nodeName={name}")
        if isinstance(change, Repartition):
            return self._next_layout(intent, node, pods)
        assert isinstance(change, FreeNode)
        for namespace in sorted({workload.split("/")[0] for workload, _, _ in change.moves}):
            pods += self._cluster.list(f"/api/v1/namespaces/{namespace}/pods")
        evicted = frozenset(one.pre_image.get("controller", "") for one in self._steps.of(intent))
        once = {pod["metadata"]["uid"]: pod for pod in pods}
        moved = self._steps.moved(intent, frozenset(once))
        step = drain.next_step(
            node,
            change,
            list(once.values()),
            evicted - {""},
            moved=moved,
            protections=self._settings.protections,
        )
        if isinstance(step, drain.Evict | drain.Wait) and not self._settings.nodes:
            return drain.Failed(Reason.KIND_NOT_SUPPORTED, _SWITCHED_OFF)
        if isinstance(step, drain.Evict):
            step = self._allowed(intent.command, node, change, step)
        if isinstance(step, drain.Evict | drain.Wait) and self._late_s(intent) >= 0:
            waited = step.detail if isinstance(step, drain.Wait) else "not all pods were evicted"
            return drain.Failed(Reason.CHECK_FAILED, f"its time is over: {waited}")
        return step

    def _allowed(self, command: Command, node: Object, change: FreeNode, step: drain.Evict) -> drain.Step:
        """Read again what protects a pod, and whether a node takes it, immediately before it is evicted (I10)."""
        meta = step.pod["metadata"]
        space, name = meta["namespace"], meta["name"]
        workload = next(ref for ref, pod, _ in change.moves if (ref.split("/")[0], pod) == (space, name))
        found = protected_node(node, command, self._settings)
        found = found or protected_move(self._cluster, workload, command, self._settings)
        if found is not None:
            return drain.Failed(found.reason, found.detail)
        why = None if self._fit is None else self._fit.refusal(step.pod["spec"], {meta["uid"]})
        return step if why is None else drain.Wait(f"pod {space}/{name} has no other place: {why}")

    def _next_layout(self, intent: Intent, node: Object, pods: list[Object]) -> _Step:
        change, before = intent.command.change, str(intent.pre_image.get(LAYOUT))
        assert isinstance(change, Repartition)
        used = self._memory_used(node["metadata"]["name"])
        failing = "its time is over" if self._late_s(intent) >= 0 else ""
        failing = failing or ("" if self._settings.nodes else _SWITCHED_OFF)
        if any(one.post_image.get(LAYOUT) == before for one in self._steps.of(intent)):
            failing = failing or "the MIG manager reported that the new layout failed"
        wanted = partition.layout(change, self._settings.mig_configs)
        if isinstance(wanted, Refusal):  # somebody removed it from the configuration after the cordon
            failing = failing or wanted.detail
        else:
            step = partition.next_step(node, wanted, pods, used)
            relabels = isinstance(step, partition.Relabel) and not failing
            found = protected_node(node, intent.command, self._settings) if relabels else None
            if found is not None:
                return drain.Failed(found.reason, found.detail)
            if isinstance(step, drain.Done):
                return step
            if isinstance(step, drain.Failed) and step.reason is Reason.CHECK_FAILED:
                failing = failing or step.detail
            if not failing:
                return step
        back = partition.next_step(node, before, pods, used, failing=failing)
        if isinstance(back, drain.Wait) and self._late_s(intent) >= self._settings.node_action_s:
            return drain.Failed(Reason.CHECK_FAILED, f"{failing}; {back.detail}", cordoned=True)
        return back

    def _late_s(self, intent: Intent) -> int:
        """Return for how long the time of an action has been over, seconds; negative if it is not."""
        assert intent.watch is not None
        return self._clock() - intent.watch.until_s

    def _memory_used(self, node: str) -> float | None:
        if self._levels is None or not self._settings.node_memory_query:
            return None
        query = self._settings.node_memory_query.replace("$node", node)
        try:
            return self._levels.value(ServiceLevel("GPU memory in use", query))
        except SourceError:
            return None

    def _end(self, intent: Intent, node: Object, step: drain.Done | drain.Failed) -> Outcome:
        """Uncordon the node, or leave one that was drained cordoned, and record the outcome.

        The outcome of an action that is taken back is open from before the write: a node that is removed meanwhile
        was not drained (I31). If the API server forbids that write, the action has failed, and `reap` tries it again
        when its time is over.
        """
        drained = isinstance(step, drain.Done) and isinstance(intent.command.change, FreeNode)
        stays = drained or (isinstance(step, drain.Failed) and step.cordoned)
        if stays and (expires := image_of(node, {UNTIL: None})):
            patch_node(self._cluster, node, expires, {})
        taken_back = step if isinstance(step, drain.Failed) and not stays else None
        if taken_back is not None:
            self._ended(intent, OutcomeStatus.UNKNOWN, taken_back.reason, f"{step.detail}; uncordoning began")
        try:
            text = "it stays cordoned" if stays else self._uncordon(intent, node)
        except ClusterError as error:
            if taken_back is not None and isinstance(error, Forbidden | Denied):
                detail = f"{step.detail}; it could not be uncordoned: {error}"
                return self._ended(intent, OutcomeStatus.FAILED, taken_back.reason, detail)
            if taken_back is not None and answered(error) is not None:
                self._ended(intent, OutcomeStatus.WATCHING, None, f"not uncordoned yet: {error}")
            raise
        if isinstance(step, drain.Done):
            return self._ended(intent, OutcomeStatus.APPLIED, None, f"{step.detail}; {text}")
        status = OutcomeStatus.FAILED if stays else OutcomeStatus.REVERTED
        return self._ended(intent, status, step.reason, f"{step.detail}; {text}")

    def _uncordon(self, intent: Intent, node: Object) -> str:
        text = _uncordoning(intent, node)
        wanted = {at: value for at, value in intent.pre_image.items() if at in _OURS}
        patch_node(self._cluster, node, image_of(node, dict.fromkeys(_OURS)), wanted)
        return text

    def _ended(self, intent: Intent, status: OutcomeStatus, reason: Reason | None, detail: str) -> Outcome:
        outcome = Outcome(intent.command.id, self._clock(), status, reason, detail)
        self._ledger.record_outcome(outcome)
        return outcome


def _uncordoning(intent: Intent, node: Object) -> str:
    wanted = {at: value for at, value in intent.pre_image.items() if at in _OURS}
    return f"uncordoned: {change_text(image_of(node, dict.fromkeys(_OURS)), wanted)}"


def _time(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _expired(until: str, now_s: int) -> bool:
    try:
        return datetime.fromisoformat(until).timestamp() <= now_s
    except ValueError:  # somebody changed the annotation: it marks no time, and a person decides
        return False
