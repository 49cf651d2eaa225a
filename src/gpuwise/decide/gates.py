"""The gates that a recommendation passes on its way to a command, one refusal each, in one visible list."""

from collections.abc import Callable
from dataclasses import dataclass

from gpuwise.decide.history import History
from gpuwise.decide.mode import mode_of
from gpuwise.decide.settings import DecideSettings
from gpuwise.model.command import Mode, enactable
from gpuwise.model.inventory import Namespace, Workload
from gpuwise.model.protection import SYSTEM_NAMESPACES, protection
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Recommendation

Refusal = tuple[Reason, str]


@dataclass(frozen=True, slots=True)
class Question:
    """May this be done now, by all that is known without looking at the cluster?

    Attributes:
        recommendation: what.
        history: what was done and said before.
        settings: the policy.
        now_s: when, epoch seconds.
    """

    recommendation: Recommendation
    history: History
    settings: DecideSettings
    now_s: int


@dataclass(frozen=True, slots=True)
class TargetQuestion:
    """May this be done to that, now?

    Attributes:
        about: the recommendation, and what is known without looking at the cluster.
        workload: the target as the inventory has it.
        namespace: its namespace, None if the inventory lacks it.
        taken_s: when the inventory was taken, epoch seconds.
    """

    about: Question
    workload: Workload
    namespace: Namespace | None
    taken_s: int


def paused(q: Question) -> Refusal | None:
    """Somebody pulled the switch."""
    word = q.history.paused
    return (
        (Reason.PAUSED, f"paused by {word.actor}: {word.detail or 'no reason given'}; gpuwise resume") if word else None
    )


def expired(q: Question) -> Refusal | None:
    """The recommendation is too old."""
    if q.now_s >= q.recommendation.expires_s:
        return Reason.STALE_INVENTORY, "the recommendation has expired; scan again"
    return None


def stale(q: TargetQuestion) -> Refusal | None:
    """The look at the fleet is too old."""
    age_s = q.about.now_s - q.taken_s
    if age_s > q.about.settings.max_inventory_age_s:
        return Reason.STALE_INVENTORY, f"the inventory is {age_s} s old"
    return None


def dismissed(q: Question) -> Refusal | None:
    """A person said no."""
    word = q.history.dismissed(q.recommendation.id)
    return (Reason.DISMISSED, f"dismissed by {word.actor}: {word.detail or 'no reason given'}") if word else None


def system(q: Question) -> Refusal | None:
    """Namespaces that are never touched."""
    name = q.recommendation.workload.namespace
    if name in SYSTEM_NAMESPACES or name in q.settings.protected_namespaces:
        return Reason.PROTECTED_NAMESPACE, f"namespace {name} is never touched"
    return None


def protected(q: TargetQuestion) -> Refusal | None:
    """Annotations of the workload, its pods or its namespace forbid it."""
    sources = [q.workload.annotations, *(pod.annotations for pod in q.workload.pods)]
    if q.namespace is not None:
        sources.append(q.namespace.annotations)
    return next((found for source in sources if (found := protection(source)) is not None), None)


def owned(q: TargetQuestion) -> Refusal | None:
    """Another controller owns its scale or its manifest (I23): a patch for its owners, never a fight."""
    if q.workload.managed_by:
        return Reason.MANAGED_BY_OTHER, f"owned by {', '.join(q.workload.managed_by)}: change it there"
    return None


def writable(q: Question) -> Refusal | None:
    """The kind cannot be changed in this way."""
    change, ref = q.recommendation.change, q.recommendation.workload
    if not enactable(change, ref):
        return Reason.KIND_NOT_SUPPORTED, f"gpuwise does not write this change to a {ref.kind}: change its manifest"
    return None


def budgeted_by_owner(q: TargetQuestion) -> Refusal | None:
    """Its PodDisruptionBudget allows none: it guards evictions only, so its word is taken here too (fact 3)."""
    if q.workload.disruptions_allowed == 0:
        return Reason.BLOCKED_BY_PDB, "its PodDisruptionBudget allows no disruption now"
    return None


def cooling(q: Question) -> Refusal | None:
    """It was changed lately."""
    last = q.history.last_effect(q.recommendation.workload.uid)
    cool_down_s = q.settings.cool_down_h * 3_600
    if last is None or q.now_s - last.at_s >= cool_down_s:
        return None
    if not q.history.settled(last.command.id):
        return Reason.COOLING_DOWN, f"what came of {last.command.id} is not known yet: the next run looks at the object"
    passed_s = q.now_s - last.at_s
    return Reason.COOLING_DOWN, f"{last.command.id} touched it {passed_s} s ago; {cool_down_s} s must pass"


def broken(q: Question) -> Refusal | None:
    """The last attempts on it came to nothing."""
    failures = q.history.failures(q.recommendation.workload.uid)
    if failures is None or failures.count < q.settings.breaker_failures:
        return None
    left_s = failures.last_s + q.settings.breaker_open_h * 3_600 - q.now_s
    if left_s <= 0:
        return None
    later = f"in {left_s // 3_600 + 1} h, or when a person does it: gpuwise apply {q.recommendation.id}"
    return Reason.BREAKER_OPEN, f"the last {failures.count} attempts failed; the next is {later}"


def permitted(q: TargetQuestion) -> Refusal | None:
    """The mode in force stops short of acting."""
    mode = mode_of(q.workload, q.namespace, q.about.settings.mode)
    match mode:
        case Mode.ENFORCE:
            return None
        case Mode.APPROVE:
            return Reason.NEEDS_APPROVAL, f"gpuwise apply {q.about.recommendation.id}"
        case Mode.RECOMMEND:
            return Reason.RECOMMEND_ONLY, f"mode recommend: gpuwise apply {q.about.recommendation.id}"
        case Mode.OFF:
            return Reason.MODE_OFF, "mode off"
        case _:
            return Reason.UNREADABLE_POLICY, f"mode {mode!r} is none of {', '.join(Mode)}: taken as off"


def hands_off(q: TargetQuestion) -> Refusal | None:
    """Its mode forbids everybody, people included."""
    mode = mode_of(q.workload, q.namespace, q.about.settings.mode)
    if mode not in set(Mode):
        return Reason.UNREADABLE_POLICY, f"mode {mode!r} is none of {', '.join(Mode)}: taken as off"
    return (Reason.MODE_OFF, "mode off") if mode is Mode.OFF else None


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
TargetGate = Callable[[TargetQuestion], Refusal | None]

PEOPLE: tuple[Gate, ...] = (paused, expired, dismissed, system, writable, cooling)
"""Block everybody, people included; what the target itself forbids is read from the cluster when it is written to."""

AUTOMATION: tuple[Gate, ...] = (*PEOPLE, broken)
"""Block automation."""

TARGET: tuple[TargetGate, ...] = (stale, protected, owned, budgeted_by_owner)
"""What the target forbids, by the inventory."""

LASTING: tuple[Gate, ...] = (writable, system, dismissed)
LASTING_TARGET: tuple[TargetGate, ...] = (protected, owned, budgeted_by_owner, hands_off)
"""What keeps a person's `gpuwise apply` from it today, by the inventory; time and rights are left aside."""

CONSENT: tuple[TargetGate, ...] = (permitted,)
TRUST: tuple[Gate, ...] = (risky, unsure)
"""Block automation; a person's `gpuwise apply` is the consent."""
