"""Who must agree to a change."""

from gpuwise.decide.mode import Marks, mode_of
from gpuwise.decide.question import Question, Refusal
from gpuwise.model.changes import FreeNode, MakeSpace, Repartition
from gpuwise.model.command import Mode
from gpuwise.model.reasons import Reason

_MODES = ", ".join(Mode)


def hands_off(q: Question) -> Refusal | None:
    """The mode is off or cannot be read, which also forbids people's commands."""
    mode = _mode(q)
    if mode is not None and mode not in set(Mode):
        return Reason.UNREADABLE_POLICY, f"mode {mode!r} is not one of {_MODES}: it counts as off"
    return (Reason.MODE_OFF, "mode off") if mode is Mode.OFF else None


def approvers(q: Question) -> frozenset[str]:
    """Return the people whose approval of the recommendation is valid now: an approval is for one attempt."""
    item, history = q.recommendation, q.situation.history
    since_s = q.situation.now_s - q.situation.settings.approvals.valid_h * 3_600
    last = history.last_effect(item.workload.uid)
    if last is not None and last.command.recommendation_id == item.id:
        since_s = max(since_s, last.at_s)
    return history.approvers(item.id, since_s=since_s, authenticated=q.situation.settings.approvals.authenticated)


def permitted(q: Question) -> Refusal | None:
    """The mode does not allow automation to make the change, or it waits for an approval."""
    item = q.recommendation
    match _mode(q):
        case Mode.RECOMMEND:
            return Reason.RECOMMEND_ONLY, f"mode recommend: gpuwise apply {item.id}"
        case Mode.APPROVE if not approvers(q):
            return Reason.NEEDS_APPROVAL, f"mode approve: gpuwise approve {item.id}, or gpuwise apply {item.id}"
        case _:
            return None


def agreed(q: Question) -> Refusal | None:
    """It affects more than one person may decide about."""
    settings, item = q.situation.settings.approvals, q.recommendation
    why = _large(q)
    if why is None:
        return None
    counts = q.actor is not None and (q.authenticated or not settings.authenticated)
    agree = approvers(q) | (frozenset([q.actor or ""]) if counts else frozenset())
    if len(agree) >= settings.persons:
        return None
    by = f"; approved by {', '.join(sorted(agree))}" if agree else ""
    detail = f"{why}: {settings.persons} people must agree{by}; gpuwise approve {item.id}"
    return Reason.NEEDS_SECOND_PERSON, detail


def _large(q: Question) -> str | None:
    """Return why a change is above the limits, None if it is not. What it affects and is not known, is above them."""
    settings, item = q.situation.settings.approvals, q.recommendation
    if settings.above_usd_month is not None and item.saving.usd_month > settings.above_usd_month:
        return f"it saves {item.saving.usd_month:.0f} USD a month, more than {settings.above_usd_month:.0f}"
    if settings.above_gpus is None:
        return None
    gpus = _gpus(q)
    if gpus is None:
        return f"the number of GPUs that it affects is not known, and {settings.above_gpus} is the limit"
    return f"it affects {gpus:g} GPUs, more than {settings.above_gpus}" if gpus > settings.above_gpus else None


def _gpus(q: Question) -> float | None:
    """Return how many GPUs, or parts of them, a change takes from running pods; None if that is not known."""
    if isinstance(q.recommendation.change, FreeNode | MakeSpace | Repartition):
        return None if q.node is None else float(q.node.gpu_count)
    target = q.target
    if target is None or target.replicas is None or not target.requests:
        return None
    return float(max(target.replicas, len(target.active_pods)) * sum(one.count for one in target.requests))


def _mode(q: Question) -> Mode | str | None:
    """The mode in force; None for a person's command, whose target the enactor reads."""
    if q.situation.inventory is None:
        return None
    default = q.situation.settings.mode
    if q.target is not None:
        return mode_of([q.target.annotations, q.target.labels], _namespace(q), default)
    return mode_of([q.node.marks] if q.node is not None else [], [], default)


def _namespace(q: Question) -> Marks:
    return [] if q.namespace is None else [q.namespace.annotations, q.namespace.labels]
