"""The checks behind the policies: each has one question and one reason for refusal."""

from gpuwise.decide.question import Question, Refusal
from gpuwise.model.admission import admits
from gpuwise.model.changes import MoveToOnDemand, MoveToSpot, Resize
from gpuwise.model.command import OutcomeStatus, enactable
from gpuwise.model.inventory import CapacityType
from gpuwise.model.kinds import JOBS
from gpuwise.model.ownership import QUEUE_OWNER
from gpuwise.model.protection import SYSTEM_NAMESPACES, protection
from gpuwise.model.reasons import Reason
from gpuwise.model.residency import allows, data_class_of


def written(q: Question) -> Refusal | None:
    """This kind of change cannot be written to this kind of object."""
    change, ref = q.recommendation.change, q.ref
    if enactable(change, ref, nodes=q.situation.nodes):
        return None
    if ref.kind == "Node":
        detail = "gpuwise does not make this change to a node: the node's operator does, or enact.nodes is set"
        return Reason.KIND_NOT_SUPPORTED, detail
    return Reason.KIND_NOT_SUPPORTED, f"gpuwise does not write this change to a {ref.kind}: change its manifest"


def exists(q: Question) -> Refusal | None:
    """The inventory no longer has the target."""
    if q.situation.inventory is None or q.target is not None or q.node is not None:
        return None
    return Reason.TARGET_GONE, "the inventory no longer has this object"


def paused(q: Question) -> Refusal | None:
    """A person paused gpuwise."""
    pause = q.situation.history.paused
    if pause is None:
        return None
    return Reason.PAUSED, f"paused by {pause.actor}: {pause.detail or 'no reason given'}; run gpuwise resume to go on"


def expired(q: Question) -> Refusal | None:
    """The recommendation is too old."""
    if q.situation.now_s >= q.recommendation.expires_s:
        return Reason.STALE_INVENTORY, "the recommendation has expired; run a new scan"
    return None


def stale(q: Question) -> Refusal | None:
    """The inventory is too old."""
    fleet = q.situation.inventory
    age_s = 0 if fleet is None else q.situation.now_s - fleet.taken_s
    if age_s > q.situation.settings.max_inventory_age_s:
        return Reason.STALE_INVENTORY, f"the inventory is {age_s} s old"
    return None


def dismissed(q: Question) -> Refusal | None:
    """A person dismissed the recommendation."""
    order = q.situation.history.dismissed(q.recommendation.id)
    return (Reason.DISMISSED, f"dismissed by {order.actor}: {order.detail or 'no reason given'}") if order else None


def frozen(q: Question) -> Refusal | None:
    """The freeze calendar forbids changes today."""
    freezes = q.situation.settings.freezes
    found = next((one for one in freezes if one.covers(q.ref.namespace, q.situation.now_s)), None)
    return None if found is None else (Reason.FROZEN, f"frozen until {found.last}: {found.reason}")


def in_window(q: Question) -> Refusal | None:
    """No maintenance window is open."""
    windows = q.situation.settings.windows
    if not windows or any(window.is_open(q.situation.now_s) for window in windows):
        return None
    return Reason.OUTSIDE_WINDOW, f"changes are made {' and '.join(map(str, windows))}"


def system(q: Question) -> Refusal | None:
    """The namespace is protected."""
    name = q.ref.namespace
    if name in SYSTEM_NAMESPACES or name in q.situation.settings.protected_namespaces:
        return Reason.PROTECTED_NAMESPACE, f"gpuwise never changes anything in namespace {name}"
    return None


def protected(q: Question) -> Refusal | None:
    """A label or annotation of the target, its pods or its namespace forbids it."""
    marked = [] if q.node is None else [q.node.marks]
    if q.target is not None:
        marked.append({**q.target.labels, **q.target.annotations})
        marked += [{**pod.labels, **pod.annotations} for pod in q.target.pods]
    if q.namespace is not None:
        marked.append({**q.namespace.labels, **q.namespace.annotations})
    found = (protection(one, q.situation.settings.protections) for one in marked)
    return next((refusal for refusal in found if refusal is not None), None)


def owned(q: Question) -> Refusal | None:
    """Another controller owns its scale or its manifest (I23) and would revert the change."""
    owners = () if q.target is None else q.target.managed_by
    if q.ref.kind in JOBS:  # the enactor stops a queued job by Kueue's own object, or refuses
        owners = tuple(one for one in owners if not one.startswith(QUEUE_OWNER))
    return (Reason.MANAGED_BY_OTHER, f"owned by {', '.join(owners)}: make the change there") if owners else None


def disruptable(q: Question) -> Refusal | None:
    """Its PodDisruptionBudget allows no disruption.

    Kubernetes applies these budgets to evictions only, not to scaling or template changes, so gpuwise checks them here.
    """
    if q.target is not None and q.target.disruptions_allowed == 0:
        return Reason.BLOCKED_BY_PDB, "its PodDisruptionBudget allows no disruption now"
    return None


def resident(q: Question) -> Refusal | None:
    """Its data may not enter a region in which the change could start its pods."""
    change, fleet = q.recommendation.change, q.situation.inventory
    if fleet is None or q.target is None or not isinstance(change, MoveToSpot | MoveToOnDemand | Resize):
        return None
    data_class = data_class_of(q.target, fleet)
    if data_class is None:
        return None
    types, spot = {node.gpu_type for node in q.nodes}, isinstance(change, MoveToSpot)
    places = (
        node
        for node in fleet.nodes.values()
        if node.gpu_type in types
        and (isinstance(change, Resize) or (node.capacity_type is CapacityType.SPOT) == spot)
        and all(admits(pod, node) for pod in q.target.active_pods)
    )
    outside = {node.region or "unknown" for node in places if not allows(data_class, node.region, q.situation.regions)}
    if not outside:
        return None
    detail = (
        f"its pods could start in region {', '.join(sorted(outside))}, which data class {data_class} does not allow"
    )
    return Reason.REGION_FORBIDDEN, f"{detail}: require a region in its node affinity"


def cooling(q: Question) -> Refusal | None:
    """The target was changed recently. A move to on-demand does not wait: a deadline needs it before the next pass."""
    situation = q.situation
    last = situation.history.last_effect(q.ref.uid)
    cool_down_s = situation.settings.cool_down_h * 3_600
    if last is None or situation.now_s - last.at_s >= cool_down_s:
        return None
    status = situation.history.status(last.command.id)
    if status is OutcomeStatus.WATCHING:
        return Reason.COOLING_DOWN, f"{last.command.id} is being watched: its outcome is not known yet"
    if status in (None, OutcomeStatus.UNKNOWN):
        return Reason.COOLING_DOWN, f"the outcome of {last.command.id} is not known yet: the next run checks the object"
    # Applied, and not there any more: something else sets the fields, and would do so again.
    taken_back = status is OutcomeStatus.APPLIED and q.recommendation.change == last.command.change
    if isinstance(q.recommendation.change, MoveToOnDemand) and not taken_back:
        return None
    passed_s = situation.now_s - last.at_s
    return Reason.COOLING_DOWN, f"{last.command.id} changed it {passed_s} s ago; the cool-down is {cool_down_s} s"


def settled(q: Question) -> Refusal | None:
    """Its last change was undone or reverted: the same finding would start the same change again (I14)."""
    situation = q.situation
    last = situation.history.last_effect(q.ref.uid)
    outcome = None if last is None else situation.history.outcome(last.command.id)
    if last is None or outcome is None or outcome.status not in (OutcomeStatus.UNDONE, OutcomeStatus.REVERTED):
        return None
    left_s = outcome.at_s + situation.settings.hysteresis_h * 3_600 - situation.now_s
    # A deadline may need a move to on-demand after another change was taken back, but not the same move again.
    urgent = isinstance(q.recommendation.change, MoveToOnDemand) and q.recommendation.change != last.command.change
    if left_s <= 0 or urgent:
        return None
    detail = f"{last.command.id} was {outcome.status.value}; automation leaves it to people for {left_s // 3_600 + 1} h"
    return Reason.TAKEN_BACK, f"{detail}: gpuwise apply {q.recommendation.id}"


def broken(q: Question) -> Refusal | None:
    """The last attempts to change the target failed."""
    situation = q.situation
    failures = situation.history.failures(q.ref.uid)
    if failures is None or failures.count < situation.settings.breaker_failures:
        return None
    left_s = failures.last_s + situation.settings.breaker_open_h * 3_600 - situation.now_s
    if left_s <= 0:
        return None
    later = f"in {left_s // 3_600 + 1} h, or when a person runs gpuwise apply {q.recommendation.id}"
    return Reason.BREAKER_OPEN, f"the last {failures.count} attempts failed; the next attempt is {later}"


def risky(q: Question) -> Refusal | None:
    """The risk is above the limit for automation."""
    risk, most = q.recommendation.risk, q.situation.settings.max_risk
    if risk > most:
        return Reason.RISK_TOO_HIGH, f"risk {risk} of 4, the limit is {most}: gpuwise apply {q.recommendation.id}"
    return None


def unsure(q: Question) -> Refusal | None:
    """The confidence is below the minimum for automation."""
    confidence, least = q.recommendation.confidence, q.situation.settings.min_confidence
    if confidence >= least:
        return None
    detail = f"confidence {confidence:.2f}, the minimum is {least:.2f}: gpuwise apply {q.recommendation.id}"
    return Reason.LOW_CONFIDENCE, detail


def small(q: Question) -> Refusal | None:
    """It saves less than automation must save. A move that a deadline needs may save nothing."""
    saving, least = q.recommendation.saving.usd_month, q.situation.settings.min_saving_usd_month
    if saving >= least or isinstance(q.recommendation.change, MoveToOnDemand):
        return None
    detail = f"it saves {saving:.0f} USD a month, the minimum is {least:.0f}: gpuwise apply {q.recommendation.id}"
    return Reason.SAVING_TOO_SMALL, detail


def refused(q: Question) -> Refusal | None:
    """The enactor would refuse it now."""
    found = q.situation.refused.get(q.recommendation.id)
    return None if found is None else (found.reason, found.detail)
