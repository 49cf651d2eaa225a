"""The gates that a recommendation must pass to become a command; each is one check with one reason for refusal."""

from collections.abc import Callable
from dataclasses import dataclass

from gpuwise.decide.history import History
from gpuwise.decide.mode import mode_of
from gpuwise.decide.settings import DecideSettings
from gpuwise.model.changes import MoveToOnDemand
from gpuwise.model.command import Mode, enactable
from gpuwise.model.inventory import Namespace, Workload
from gpuwise.model.protection import SYSTEM_NAMESPACES, protection
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Recommendation

Refusal = tuple[Reason, str]


@dataclass(frozen=True, slots=True)
class Question:
    """The input of a gate that does not depend on the target's present state.

    Attributes:
        recommendation: the recommendation.
        history: earlier commands, outcomes and directives.
        settings: the policy.
        now_s: when, epoch seconds.
    """

    recommendation: Recommendation
    history: History
    settings: DecideSettings
    now_s: int


@dataclass(frozen=True, slots=True)
class TargetQuestion:
    """The input of a gate that depends on the target's present state.

    Attributes:
        about: the recommendation, with history, policy and time.
        workload: the target, from the inventory.
        namespace: its namespace, None if the inventory does not have it.
        taken_s: when the inventory was taken, epoch seconds.
    """

    about: Question
    workload: Workload
    namespace: Namespace | None
    taken_s: int


def paused(q: Question) -> Refusal | None:
    """A person paused gpuwise."""
    pause = q.history.paused
    if pause is None:
        return None
    return Reason.PAUSED, f"paused by {pause.actor}: {pause.detail or 'no reason given'}; run gpuwise resume to go on"


def expired(q: Question) -> Refusal | None:
    """The recommendation is too old."""
    if q.now_s >= q.recommendation.expires_s:
        return Reason.STALE_INVENTORY, "the recommendation has expired; run a new scan"
    return None


def stale(q: TargetQuestion) -> Refusal | None:
    """The inventory is too old."""
    age_s = q.about.now_s - q.taken_s
    if age_s > q.about.settings.max_inventory_age_s:
        return Reason.STALE_INVENTORY, f"the inventory is {age_s} s old"
    return None


def dismissed(q: Question) -> Refusal | None:
    """A person dismissed the recommendation."""
    order = q.history.dismissed(q.recommendation.id)
    return (Reason.DISMISSED, f"dismissed by {order.actor}: {order.detail or 'no reason given'}") if order else None


def system(q: Question) -> Refusal | None:
    """The namespace is protected."""
    name = q.recommendation.workload.namespace
    if name in SYSTEM_NAMESPACES or name in q.settings.protected_namespaces:
        return Reason.PROTECTED_NAMESPACE, f"gpuwise never changes anything in namespace {name}"
    return None


def protected(q: TargetQuestion) -> Refusal | None:
    """A label or annotation of the workload, its pods or its namespace forbids it."""
    marked = [{**q.workload.labels, **q.workload.annotations}]
    marked += [{**pod.labels, **pod.annotations} for pod in q.workload.pods]
    if q.namespace is not None:
        marked.append({**q.namespace.labels, **q.namespace.annotations})
    found = (protection(one, q.about.settings.protections) for one in marked)
    return next((refusal for refusal in found if refusal is not None), None)


def owned(q: TargetQuestion) -> Refusal | None:
    """Another controller owns its scale or its manifest (I23) and would revert the change."""
    if q.workload.managed_by:
        return Reason.MANAGED_BY_OTHER, f"owned by {', '.join(q.workload.managed_by)}: make the change there"
    return None


def writable(q: Question) -> Refusal | None:
    """This kind of change cannot be written to this kind of object."""
    change, ref = q.recommendation.change, q.recommendation.workload
    if not enactable(change, ref):
        return Reason.KIND_NOT_SUPPORTED, f"gpuwise does not write this change to a {ref.kind}: change its manifest"
    return None


def budgeted_by_owner(q: TargetQuestion) -> Refusal | None:
    """Its PodDisruptionBudget allows no disruption.

    Kubernetes applies these budgets to evictions only, not to scaling or template changes, so gpuwise checks them here.
    """
    if q.workload.disruptions_allowed == 0:
        return Reason.BLOCKED_BY_PDB, "its PodDisruptionBudget allows no disruption now"
    return None


def cooling(q: Question) -> Refusal | None:
    """The target was changed recently. A move to on-demand does not wait: a deadline needs it before the next pass."""
    last = q.history.last_effect(q.recommendation.workload.uid)
    cool_down_s = q.settings.cool_down_h * 3_600
    if last is None or q.now_s - last.at_s >= cool_down_s:
        return None
    if not q.history.settled(last.command.id):
        return Reason.COOLING_DOWN, f"the outcome of {last.command.id} is not known yet: the next run checks the object"
    if isinstance(q.recommendation.change, MoveToOnDemand):
        return None
    passed_s = q.now_s - last.at_s
    return Reason.COOLING_DOWN, f"{last.command.id} changed it {passed_s} s ago; the cool-down is {cool_down_s} s"


def broken(q: Question) -> Refusal | None:
    """The last attempts to change the target failed."""
    failures = q.history.failures(q.recommendation.workload.uid)
    if failures is None or failures.count < q.settings.breaker_failures:
        return None
    left_s = failures.last_s + q.settings.breaker_open_h * 3_600 - q.now_s
    if left_s <= 0:
        return None
    later = f"in {left_s // 3_600 + 1} h, or when a person runs gpuwise apply {q.recommendation.id}"
    return Reason.BREAKER_OPEN, f"the last {failures.count} attempts failed; the next attempt is {later}"


def permitted(q: TargetQuestion) -> Refusal | None:
    """The mode in force does not allow automatic changes."""
    mode = mode_of(q.workload, q.namespace, q.about.settings.mode)
    match mode:
        case Mode.ENFORCE:
            return None
        case Mode.APPROVE:
            return Reason.NEEDS_APPROVAL, f"mode approve: gpuwise apply {q.about.recommendation.id}"
        case Mode.RECOMMEND:
            return Reason.RECOMMEND_ONLY, f"mode recommend: gpuwise apply {q.about.recommendation.id}"
        case Mode.OFF:
            return Reason.MODE_OFF, "mode off"
        case _:
            return Reason.UNREADABLE_POLICY, f"mode {mode!r} is not one of {', '.join(Mode)}: it counts as off"


def hands_off(q: TargetQuestion) -> Refusal | None:
    """The mode is off or invalid, which also blocks people."""
    mode = mode_of(q.workload, q.namespace, q.about.settings.mode)
    if mode not in set(Mode):
        return Reason.UNREADABLE_POLICY, f"mode {mode!r} is not one of {', '.join(Mode)}: it counts as off"
    return (Reason.MODE_OFF, "mode off") if mode is Mode.OFF else None


def risky(q: Question) -> Refusal | None:
    """The risk is above the limit for automation."""
    risk, most = q.recommendation.risk, q.settings.max_risk
    if risk > most:
        return Reason.RISK_TOO_HIGH, f"risk {risk} of 4, the limit is {most}: gpuwise apply {q.recommendation.id}"
    return None


def unsure(q: Question) -> Refusal | None:
    """The confidence is below the minimum for automation."""
    confidence, least = q.recommendation.confidence, q.settings.min_confidence
    if confidence < least:
        return (
            Reason.LOW_CONFIDENCE,
            f"confidence {confidence:.2f}, the minimum is {least:.2f}: gpuwise apply {q.recommendation.id}",
        )
    return None


Gate = Callable[[Question], Refusal | None]
TargetGate = Callable[[TargetQuestion], Refusal | None]

PEOPLE: tuple[Gate, ...] = (paused, expired, dismissed, system, writable, cooling)
"""Block automation and people; the enactor checks the target's protections in the cluster just before it writes."""

AUTOMATION: tuple[Gate, ...] = (*PEOPLE, broken)
"""Block automation."""

TARGET: tuple[TargetGate, ...] = (stale, protected, owned, budgeted_by_owner)
"""Protections of the target, according to the inventory."""

LASTING: tuple[Gate, ...] = (writable, system, dismissed)
LASTING_TARGET: tuple[TargetGate, ...] = (protected, owned, budgeted_by_owner, hands_off)
"""Blockers of a person's `gpuwise apply`, according to the inventory, without gates that depend on time or rights."""

CONSENT: tuple[TargetGate, ...] = (permitted,)
TRUST: tuple[Gate, ...] = (risky, unsure)
"""Block automation; a person's `gpuwise apply` is the consent."""
