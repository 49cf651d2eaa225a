"""Checks against the policy: residency, labels, modes and protections, budgets."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from gpuwise.decide.budgets import budget_of
from gpuwise.decide.history import History
from gpuwise.decide.settings import DecideSettings
from gpuwise.lint.finding import Code, Finding
from gpuwise.lint.places import Term, admitted, required
from gpuwise.lint.subject import Subject
from gpuwise.model.command import FLEET, Limit, Mode
from gpuwise.model.inventory import Node
from gpuwise.model.labels import DATA_CLASS, MODE, PROJECT, REGION_LABEL, TEAM_LABELS, ZONE_LABEL
from gpuwise.model.price import PriceBook
from gpuwise.model.protection import protection
from gpuwise.model.reasons import Reason
from gpuwise.model.residency import RegionsByClass
from gpuwise.model.tagging import Tags, first_of


@dataclass(frozen=True)
class Surroundings:
    """What a manifest is checked against.

    Attributes:
        policy: the policy.
        regions: the regions that each class of data allows.
        prices: of GPU-hours.
        nodes: of the fleet; empty if it is not known.
        history: what used the budgets; None if it is not known.
        now_s: epoch seconds.
        tags: which labels name the owner.
    """

    policy: DecideSettings
    regions: RegionsByClass
    prices: PriceBook
    nodes: Sequence[Node] = ()
    history: History | None = None
    now_s: int = 0
    tags: Tags = field(default_factory=Tags)


_ALIASES: Mapping[str, tuple[str, ...]] = {"owner": TEAM_LABELS, "project": (PROJECT, "project")}
"""What a required label may be called besides its own key."""


def labels(subject: Subject, given: Surroundings) -> Iterator[Finding]:
    """Yield the labels that the policy requires and that are missing."""
    patterns = given.policy.required_labels.items()
    wanted = dict.fromkeys(
        label for pattern, names in patterns if fnmatchcase(subject.namespace, pattern) for label in names
    )
    for label in wanted:
        keys = _ALIASES.get(label, (label,))
        if not any(subject.mark(key) for key in keys):
            text = f"namespace {subject.namespace} requires the label {label}"
            hint = f"set {' or '.join(keys)} on the workload, its pod template or its namespace"
            yield subject.error(Code.REQUIRED_LABEL_MISSING, text, hint, ("metadata", "labels"))


def marks(subject: Subject, given: Surroundings) -> Iterator[Finding]:
    """Yield modes and protections whose values cannot be read."""
    for where, found in subject.marks.items():
        mode = found.get(MODE)
        if mode is not None and mode not in set(Mode):
            text = f"{MODE} of the {where} is {mode!r}, which counts as off"
            yield subject.error(Code.UNREADABLE_POLICY, text, f"use {', '.join(Mode)}", ("metadata",))
        refused = protection(found, given.policy.protections)
        if refused is not None and refused[0] is Reason.UNREADABLE_POLICY:
            yield subject.error(Code.UNREADABLE_POLICY, refused[1], "correct the value", ("metadata",))


def residency(subject: Subject, given: Surroundings) -> Iterator[Finding]:
    """Yield where the data of a workload could go and must not."""
    data_class = subject.mark(DATA_CLASS)
    if data_class is None:
        return
    allowed = given.regions.get(data_class)
    if allowed is None:
        known = ", ".join(sorted(given.regions)) or "none"
        text = f"data class {data_class} has no regions in recommend.regions_by_data_class, which has: {known}"
        yield subject.error(Code.UNKNOWN_DATA_CLASS, text, "correct the class, or add it", ("metadata",))
        return
    regions = ", ".join(allowed)
    hint = f"require {REGION_LABEL} In [{regions}] in its node affinity"
    for group in subject.groups:
        outside = {node.region or "unknown" for node in admitted(group, given.nodes) if node.region not in allowed}
        outside |= {region for term in group.scheduling.terms for region in _forbidden(term, allowed)}
        if outside:
            text = f"its pods could start in {', '.join(sorted(outside))}; data class {data_class} allows {regions}"
            yield subject.error(Code.REGION_FORBIDDEN, text, hint, subject.spec_path)
        elif not all(_tied(term) for term in group.scheduling.terms):
            text = f"its affinity requires no region, and data class {data_class} allows {regions} only"
            yield subject.warning(Code.REGION_OPEN, text, hint, subject.spec_path)


def _forbidden(term: Term, allowed: Sequence[str]) -> Iterator[str]:
    """The regions that a term admits and the class does not. A zone's name begins with its region's, as in clouds."""
    regions = required(term, REGION_LABEL)
    if regions:
        yield from (one for one in regions if one not in allowed)
        return
    yield from (one for one in required(term, ZONE_LABEL) if not one.startswith(tuple(allowed)))


def _tied(term: Term) -> bool:
    return bool(required(term, REGION_LABEL) or required(term, ZONE_LABEL))


def budgets(subject: Subject, given: Surroundings) -> Iterator[Finding]:
    """Yield the budgets that a change of the workload would use: what is left, or that there is none."""
    policy = given.policy
    owner = first_of(given.tags.of("team"), subject.marks.values()) or "none"
    limits = [Limit(FLEET, policy.budget.disruptions, policy.budget.per_s)]
    for kind, member in (("namespace", subject.namespace), ("owner", owner)):
        budget = budget_of(policy, kind, member)
        if budget is not None:
            limits.append(Limit(f"{kind}/{member}", budget.disruptions, budget.per_s))
    for limit in limits:
        if limit.disruptions == 0:
            text = f"the policy gives {limit.scope} no budget: automation never changes it, idle or not"
            hint = f"add budgets: {{{limit.scope}: {{disruptions: 1}}}} to the policy"
            yield subject.warning(Code.NO_BUDGET, text, hint)
        elif given.history is not None and limit.scope != FLEET:
            left = max(0, limit.disruptions - given.history.spent(limit, now_s=given.now_s))
            text = f"{left} of {limit.disruptions} disruptions of {limit.scope} in {limit.per_s} s are left"
            yield subject.info(Code.BUDGET_LEFT, text)
