"""The gates that a recommendation passes on its way to a command, one refusal each, in one visible list."""

from collections.abc import Callable
from dataclasses import dataclass

from gpuwise.decide.history import History
from gpuwise.decide.mode import mode_of
from gpuwise.decide.settings import DecideSettings
from gpuwise.model.command import Mode, enactable
from gpuwise.model.inventory import Inventory, Namespace, Workload
from gpuwise.model.protection import SYSTEM_NAMESPACES, protection
from gpuwise.model.recommendation import Reason, Recommendation

Refusal = tuple[Reason, str]


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything but the recommendation that a decision depends on.

    Attributes:
        inventory: the fleet as it is now.
        history: what was done and said before.
        settings: the policy.
        now_s: when, epoch seconds.
    """

    inventory: Inventory
    history: History
    settings: DecideSettings
    now_s: int


@dataclass(frozen=True, slots=True)
class Question:
    """May this be done to that, now?

    Attributes:
        recommendation: what.
        workload: to which, as the inventory has it.
        situation: now.
    """

    recommendation: Recommendation
    workload: Workload
    situation: Situation

    @property
    def settings(self) -> DecideSettings:
        """The policy."""
        return self.situation.settings

    @property
    def history(self) -> History:
        """What was done and said before."""
        return self.situation.history

    @property
    def now_s(self) -> int:
        """When, epoch seconds."""
        return self.situation.now_s

    @property
    def namespace(self) -> Namespace | None:
        """The target's namespace, None if the inventory lacks it."""
        return self.situation.inventory.namespaces.get(self.workload.ref.namespace)


def paused(q: Question) -> Refusal | None:
    """Somebody pulled the switch."""
    word = q.history.paused
    return (
        (Reason.PAUSED, f"paused by {word.actor}: {word.detail or 'no reason given'}; gpuwise resume") if word else None
    )


def stale(q: Question) -> Refusal | None:
    """The look at the fleet, or the recommendation, is too old."""
    age_s = q.now_s - q.situation.inventory.taken_s
    if age_s > q.settings.max_inventory_age_s:
        return Reason.STALE_INVENTORY, f"the inventory is {age_s} s old"
    if q.now_s >= q.recommendation.expires_s:
        return Reason.STALE_INVENTORY, "the recommendation has expired; scan again"
    return None


def dismissed(q: Question) -> Refusal | None:
    """A person said no."""
    word = q.history.dismissed(q.recommendation.id)
    return (Reason.DISMISSED, f"dismissed by {word.actor}: {word.detail or 'no reason given'}") if word else None


def system(q: Question) -> Refusal | None:
    """Namespaces that are never touched."""
    name = q.workload.ref.namespace
    if name in SYSTEM_NAMESPACES or name in q.settings.protected_namespaces:
        return Reason.PROTECTED_NAMESPACE, f"namespace {name} is never touched"
    return None


def protected(q: Question) -> Refusal | None:
    """Annotations of the workload, its pods or its namespace forbid it."""
    sources = [q.workload.annotations, *(pod.annotations for pod in q.workload.pods)]
    if q.namespace is not None:
        sources.append(q.namespace.annotations)
    return next((found for source in sources if (found := protection(source)) is not None), None)


def owned(q: Question) -> Refusal | None:
    """Another controller owns its scale or its manifest (I23): a patch for its owners, never a fight."""
    if q.workload.managed_by:
        return Reason.MANAGED_BY_OTHER, f"owned by {', '.join(q.workload.managed_by)}: change it there"
    return None


def writable(q: Question) -> Refusal | None:
    """The kind cannot be changed in this way."""
    change, ref = q.recommendation.change, q.workload.ref
    if not enactable(change, ref):
        return Reason.KIND_NOT_SUPPORTED, f"{change.kind} is not written to a {ref.kind}: change its manifest"
    return None


def budgeted_by_owner(q: Question) -> Refusal | None:
    """Its PodDisruptionBudget allows none: it guards evictions only, so its word is taken here too (fact 3)."""
    if q.workload.disruptions_allowed == 0:
        return Reason.BLOCKED_BY_PDB, "its PodDisruptionBudget allows no disruption now"
    return None


def cooling(q: Question) -> Refusal | None:
    """It was changed lately."""
    last = q.history.last_intent(q.workload.ref.uid)
    cool_down_s = q.settings.cool_down_h * 3_600
    if last is not None and q.now_s - last.at_s < cool_down_s:
        return (
            Reason.COOLING_DOWN,
            f"{last.command.id} touched it {q.now_s - last.at_s} s ago; {cool_down_s} s must pass",
        )
    return None


def broken(q: Question) -> Refusal | None:
    """The last attempts on it came to nothing."""
    failures = q.history.failures(q.workload.ref.uid)
    if failures >= q.settings.breaker_failures:
        return Reason.BREAKER_OPEN, f"the last {failures} attempts failed: gpuwise explain {q.recommendation.id}"
    return None


def permitted(q: Question) -> Refusal | None:
    """The mode in force stops short of acting."""
    mode = mode_of(q.workload, q.namespace, q.settings.mode)
    match mode:
        case Mode.ENFORCE:
            return None
        case Mode.APPROVE:
            return Reason.NEEDS_APPROVAL, f"gpuwise apply {q.recommendation.id}"
        case Mode.RECOMMEND:
            return Reason.RECOMMEND_ONLY, f"mode recommend: gpuwise apply {q.recommendation.id}"
        case Mode.OFF:
            return Reason.MODE_OFF, "mode off"
        case _:
            return Reason.UNREADABLE_POLICY, f"mode {mode!r} is none of {', '.join(Mode)}: taken as off"


def risky(q: Question) -> Refusal | None:
    """More than automation is trusted with."""
    risk, most = q.recommendation.risk, q.settings.max_risk
    if risk > most:
        return Reason.RISK_TOO_HIGH, f"risk {risk} of 4, {most} is allowed: gpuwise apply {q.recommendation.id}"
    return None


def unsure(q: Question) -> Refusal | None:
    """Less sure than automation must be."""
    sure, least = q.recommendation.confidence, q.settings.min_confidence
    if sure < least:
        return (
            Reason.LOW_CONFIDENCE,
            f"confidence {sure:.2f}, {least:.2f} is needed: gpuwise apply {q.recommendation.id}",
        )
    return None


Gate = Callable[[Question], Refusal | None]

SAFETY: tuple[Gate, ...] = (
    paused,
    stale,
    dismissed,
    system,
    protected,
    owned,
    writable,
    budgeted_by_owner,
    cooling,
    broken,
)
"""Hold for everybody, people included."""

CONSENT: tuple[Gate, ...] = (permitted, risky, unsure)
"""Hold for automation; a person's `gpuwise apply` is the consent."""


def off(q: Question) -> Refusal | None:
    """What even a person's apply respects of the mode: off, and words that cannot be read."""
    refusal = permitted(q)
    return refusal if refusal and refusal[0] in (Reason.MODE_OFF, Reason.UNREADABLE_POLICY) else None
