"""Find out what the enactor would refuse now, using only reads. The plan uses this, and the enactor repeats it."""

from collections.abc import Callable
from dataclasses import dataclass

from gpuwise.enact.canary import with_canary
from gpuwise.enact.effects import Effect, plan_effect
from gpuwise.enact.fitting import restarts_pods, unfit
from gpuwise.enact.guard import blocker, pods_of
from gpuwise.enact.node_checks import node_refusal
from gpuwise.enact.refusal import Refusal
from gpuwise.enact.settings import EnactSettings
from gpuwise.enact.stop_switch import stopped
from gpuwise.enact.target import Target, access_of, read_target
from gpuwise.model.command import Command
from gpuwise.model.errors import ClusterError, Forbidden
from gpuwise.model.inventory import WorkloadRef
from gpuwise.model.kinds import Kind
from gpuwise.model.ports import ClusterReader, Fit, Object
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked

STAGE = "enact"
# What reading a field of an unexpected type or form raises.
READ_ERRORS = (ValueError, TypeError, KeyError, AttributeError)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A target as read from the API server, and what the command changes in it.

    Attributes:
        target: the object that is written.
        effect: the touched fields before and after.
    """

    target: Target
    effect: Effect

    @property
    def item(self) -> Object:
        """The object that is written."""
        return self.target.item


class Examiner:
    """Checks commands against the current state of the cluster. It writes nothing.

    Args:
        cluster: client, used only to read.
        settings: limits.
        clock: returns epoch seconds.
        fit: looks for nodes for new pods; None does not check it.
    """

    def __init__(
        self, cluster: ClusterReader, settings: EnactSettings, clock: Callable[[], int], fit: Fit | None = None
    ) -> None:
        self._fit = fit
        self._cluster = cluster
        self._settings = settings
        self._clock = clock

    def check(self, command: Command) -> Blocked | None:
        """Return why the enactor would refuse a command, None if it would not."""
        found = self._node_refusal(command) if command.workload.kind == "Node" else self.prepare(command)
        if found is None or isinstance(found, Prepared):
            return None
        return Blocked(command.workload, STAGE, found.reason, found.detail, recommendation_id=command.recommendation_id)

    def _node_refusal(self, command: Command) -> Refusal | None:
        try:
            return node_refusal(self._cluster, command, self._settings)
        except ClusterError as error:
            return Refusal(Reason.REFUSED_BY_CLUSTER, str(error))

    def prepare(self, command: Command) -> Prepared | Refusal:
        """Read the target, check what forbids the command, and plan its effect."""
        if command.workload.kind == "Node":
            return Refusal(Reason.KIND_NOT_SUPPORTED, "a node is changed step by step")
        try:
            return self._prepared(command, self._clock())
        except Forbidden as error:
            # A namespace without the right to write usually lacks the right to read before the write, too.
            return missing_right(self._cluster, command.workload) or Refusal(Reason.REFUSED_BY_CLUSTER, str(error))
        except ClusterError as error:
            # An object that cannot be read cannot be checked.
            return Refusal(Reason.REFUSED_BY_CLUSTER, str(error))
        except READ_ERRORS as error:
            return Refusal(
                Reason.UNREADABLE_OBJECT, f"a field of {command.workload} or of its pods cannot be read: {error!r}"
            )

    def _prepared(self, command: Command, now_s: int) -> Prepared | Refusal:
        if command.because is not None and now_s >= command.because.expires_s:
            return Refusal(Reason.STALE_INVENTORY, "the recommendation has expired; scan again")
        if (stop := stopped(self._cluster, self._settings, actor=command.actor)) is not None:
            return stop
        target = read_target(self._cluster, command.workload)
        if isinstance(target, Refusal):
            return target
        refusal = blocker(self._cluster, command, target, self._settings, now_s)
        effect = refusal or plan_effect(target, command, now_s, wake_ahead_s=self._settings.wake_ahead_s)
        if isinstance(effect, Refusal):
            return effect
        effect = with_canary(effect, target.item, command.change, self._settings, now_s)
        if self._fit is not None and restarts_pods(effect):
            pods = pods_of(self._cluster, command.workload.kind, target.workload)
            if (unplaced := unfit(target.item, effect, pods, self._fit)) is not None:
                return unplaced
        # Checked before the intent is recorded: a write that gets a 403 would count as a failed attempt.
        return missing_right(self._cluster, command.workload, target.kind) or Prepared(target, effect)


def missing_right(cluster: ClusterReader, workload: WorkloadRef, kind: Kind | None = None) -> Refusal | None:
    """Return a refusal if this identity may not write a workload; None if it may, or if that cannot be checked.

    Args:
        cluster: client, used only to read.
        workload: of a kind that gpuwise writes; without a name, all workloads of its kind in the namespace.
        kind: of the object that is written; None for the workload's own kind.
    """
    access = access_of(workload, kind)
    if cluster.may(access) is not False:
        return None
    hint = "add the namespace to the chart's enforce.namespaces, or grant the right with a Role"
    return Refusal(Reason.NO_RIGHT, f"this identity may not {access}: {hint}")
