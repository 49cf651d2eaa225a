"""Watch what an effect did: its pods, and the service levels that the policy names, for a limited time (I13)."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from string import Template

from gpuwise.enact.canary import final, stage
from gpuwise.enact.guard import pods_of
from gpuwise.enact.images import change_text, difference, image_of
from gpuwise.enact.pods import seen
from gpuwise.enact.refusal import Refusal
from gpuwise.enact.settings import EnactSettings
from gpuwise.enact.target import Target, read_target
from gpuwise.model.command import Canary, Command, Intent, OutcomeStatus, ServiceLevel, Watch
from gpuwise.model.errors import SourceError
from gpuwise.model.ports import ClusterReader, Levels
from gpuwise.model.reasons import Reason


@dataclass(frozen=True, slots=True)
class Verdict:
    """The end of a watch.

    Attributes:
        status: APPLIED, FAILED, REVERTED if the effect must be taken back, or WATCHING if the first pods are well and
            the others must follow.
        reason: reason code, None if all is well.
        detail: explanation for a person.
        target: the object to write, None if nothing must be written.
    """

    status: OutcomeStatus
    reason: Reason | None
    detail: str
    target: Target | None = None


def watch_of(command: Command, settings: EnactSettings, now_s: int, canary: Canary | None = None) -> Watch | None:
    """Return how the effect of a command is watched, None if the settings do not ask for it.

    Args:
        command: the command; `$namespace`, `$name` and `$kind` in a query stand for its target.
        settings: the length of the watch, and the service levels.
        now_s: epoch seconds.
        canary: the share of the pods that is changed first: the watch of all begins when the others follow.
    """
    if not settings.watch_s:
        return None
    ref = command.workload
    names = {"namespace": ref.namespace, "name": ref.name, "kind": ref.kind}
    levels = tuple(
        ServiceLevel(one.name, Template(one.query).safe_substitute(names), one.at_most, one.at_least)
        for one in settings.levels
    )
    return Watch((canary.until_s if canary else now_s) + settings.watch_s, levels, canary)


class Watcher:
    """Decides from reads alone how a watched effect continues.

    Args:
        cluster: client, used only to read.
        levels: where service levels are measured; None if they cannot be.
        clock: returns epoch seconds.
    """

    def __init__(self, cluster: ClusterReader, levels: Levels | None, clock: Callable[[], int]) -> None:
        self._cluster = cluster
        self._levels = levels
        self._clock = clock

    def check(self, intent: Intent, *, late_s: int = 0) -> Verdict | None:
        """Return how a watch ends, None while it goes on.

        Without service levels it ends as soon as the pods are as the change requires. With them it ends at its time:
        a level out of its bounds ends it at once, one that cannot be measured then is no good news. A canary is checked
        for its whole time, because a pod may run out of memory late.

        Args:
            intent: an effect that is being watched.
            late_s: how much later than planned the second write of a canary took place, seconds.

        Raises:
            ClusterError: the target or its pods could not be read: the watch goes on.
        """
        target = read_target(self._cluster, intent.command.workload)
        if isinstance(target, Refusal):
            return Verdict(OutcomeStatus.FAILED, target.reason, target.detail)
        actual = image_of(target.item, intent.pre_image, intent.post_image)
        if actual == intent.pre_image:
            detail = "the object is as it was before this action: somebody restored it"
            return Verdict(OutcomeStatus.REVERTED, Reason.CHANGED_BY_OTHERS, detail)
        if actual != stage(intent, actual):
            detail = f"somebody changed it since: {difference(intent.post_image, actual)}"
            return Verdict(OutcomeStatus.FAILED, Reason.CHANGED_BY_OTHERS, f"{detail}; gpuwise leaves it as it is")
        watch = intent.watch or Watch(0)
        canary = watch.canary if actual == intent.post_image else None
        return self._judged(intent, target, watch, canary, canary.until_s if canary else watch.until_s + late_s)

    def _judged(
        self, intent: Intent, target: Target, watch: Watch, canary: Canary | None, until_s: int
    ) -> Verdict | None:
        kind, levels = intent.command.workload.kind, watch.levels
        over = self._clock() >= until_s
        pods = seen(
            kind,
            target.workload,
            pods_of(self._cluster, kind, target.workload),
            intent.command.change,
            intent.post_image,
            canary=canary.pods if canary else None,
        )
        if pods.broken:
            return Verdict(OutcomeStatus.REVERTED, Reason.CHECK_FAILED, pods.broken, target)
        unknown = ""
        for level in levels:
            value = self._value(level)
            if value is None:
                unknown = unknown or f"the service level {level.name!r} could not be measured"
            elif not within(level, value):
                detail = f"the service level {level.name!r} is {value:g}, {_bounds(level)}"
                return Verdict(OutcomeStatus.REVERTED, Reason.CHECK_FAILED, detail, target)
        if not over and (levels or canary or not pods.done):
            return None
        if not pods.done:
            detail = f"{pods.detail} at the end of the check"
            return Verdict(OutcomeStatus.REVERTED, Reason.CHECK_FAILED, detail, target)
        if unknown:
            return Verdict(OutcomeStatus.REVERTED, Reason.NO_EVIDENCE, unknown, target)
        if canary is not None:
            return Verdict(OutcomeStatus.WATCHING, None, pods.detail, target)
        return Verdict(OutcomeStatus.APPLIED, None, change_text(intent.pre_image, final(intent)))

    def _value(self, level: ServiceLevel) -> float | None:
        if self._levels is None:
            return None
        try:
            value = self._levels.value(level)
        except SourceError:
            return None
        return value if value is not None and math.isfinite(value) else None


def within(level: ServiceLevel, value: float) -> bool:
    """Return whether a number is within the bounds of a service level."""
    upper = level.at_most is None or value <= level.at_most
    return upper and (level.at_least is None or value >= level.at_least)


def _bounds(level: ServiceLevel) -> str:
    bounds = ((level.at_most, "at most"), (level.at_least, "at least"))
    return "and must be " + " and ".join(f"{text} {bound:g}" for bound, text in bounds if bound is not None)
