"""What the enactor would refuse now, found out by reads alone: the plan says it, and the enactor asks again."""

from collections.abc import Callable
from dataclasses import dataclass

from gpuwise.enact.effects import Effect, plan_effect
from gpuwise.enact.guard import blocker
from gpuwise.enact.refusal import Refusal
from gpuwise.enact.settings import EnactSettings
from gpuwise.enact.target import access_of, read_target
from gpuwise.model.command import Command
from gpuwise.model.errors import ClusterError, Forbidden
from gpuwise.model.inventory import WorkloadRef
from gpuwise.model.ports import ClusterReader, Object
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked

STAGE = "enact"
# What reading a field of an unexpected type or form raises.
_ODD = (ValueError, TypeError, KeyError, AttributeError)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A target as it was read, and what the command does to it.

    Attributes:
        item: the object.
        effect: its fields before and after.
    """

    item: Object
    effect: Effect


class Examiner:
    """Checks commands against the cluster as it is, and writes nothing.

    Args:
        cluster: read only.
        settings: limits.
        clock: epoch seconds.
    """

    def __init__(self, cluster: ClusterReader, settings: EnactSettings, clock: Callable[[], int]) -> None:
        self._cluster = cluster
        self._settings = settings
        self._clock = clock

    def check(self, command: Command) -> Blocked | None:
        """What the enactor would refuse, None if nothing."""
        found = self.prepare(command)
        if isinstance(found, Prepared):
            return None
        return Blocked(command.workload, STAGE, found.reason, found.detail, recommendation_id=command.recommendation_id)

    def prepare(self, command: Command) -> Prepared | Refusal:
        """Read the target, look for what forbids the command, and plan its effect."""
        try:
            return self._prepared(command, self._clock())
        except Forbidden as error:
            # Where nobody granted to write, nobody granted to read before the write either.
            return missing_right(self._cluster, command.workload) or Refusal(Reason.REFUSED_BY_CLUSTER, str(error))
        except ClusterError as error:
            # What could not be read could not be checked.
            return Refusal(Reason.REFUSED_BY_CLUSTER, str(error))
        except _ODD as error:
            return Refusal(Reason.UNREADABLE_OBJECT, f"a field of {command.workload} or of its pods: {error!r}")

    def _prepared(self, command: Command, now_s: int) -> Prepared | Refusal:
        if command.because is not None and now_s >= command.because.expires_s:
            return Refusal(Reason.STALE_INVENTORY, "the recommendation has expired; scan again")
        item = read_target(self._cluster, command.workload)
        if isinstance(item, Refusal):
            return item
        refusal = blocker(self._cluster, command, item, self._settings)
        effect = refusal or plan_effect(item, command, now_s)
        if isinstance(effect, Refusal):
            return effect
        # Asked before anything is written down: a 403 would be an attempt that could not have come to anything.
        return missing_right(self._cluster, command.workload) or Prepared(item, effect)


def missing_right(cluster: ClusterReader, workload: WorkloadRef) -> Refusal | None:
    """The refusal of who has no right to write a workload; None where the right is there, or cannot be asked about.

    Args:
        cluster: asked, not changed.
        workload: of a kind that gpuwise writes; without a name it stands for all of its kind in the namespace.
    """
    access = access_of(workload)
    if cluster.may(access) is not False:
        return None
    hint = "list the namespace in the chart's enforce.namespaces, or grant it by a Role"
    return Refusal(Reason.NO_RIGHT, f"this identity may not {access}: {hint}")
