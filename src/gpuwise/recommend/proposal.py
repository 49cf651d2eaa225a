"""The part of a recommendation that a method decides, and how the rest is derived from it."""

import hashlib
from collections.abc import Hashable
from dataclasses import dataclass, fields
from functools import cache, lru_cache
from typing import Any, cast

from gpuwise.model.changes import Change
from gpuwise.model.codec import to_json
from gpuwise.model.command import enactable
from gpuwise.model.findings import Finding
from gpuwise.model.inventory import WorkloadRef
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Evidence, Recommendation, Saving

FINGERPRINT_VERSION = 1
"""Part of every id; it is raised only if the same change must get another id than in earlier releases (I20)."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """The part of a recommendation that its method decides; the rest is derived from the target.

    Attributes:
        finding: what is wrong.
        reasons: reason codes.
        change: what to do.
        saving: what the change is worth.
        risk: 0 to 4.
        coverage: lowest coverage among the signals used.
        evidence: the numbers.
        restart_needed: whether pods are replaced.
    """

    finding: Finding
    reasons: tuple[Reason, ...]
    change: Change
    saving: Saving
    risk: int
    coverage: float
    evidence: tuple[Evidence, ...]
    restart_needed: bool = True


@cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def identity(target: WorkloadRef, change: Change) -> str:
    """The id of a change to an object: the same on every run and in every release of one fingerprint version.

    Fields that are not set are not part of it, so that a new optional field changes no id.
    """
    text = f"{FINGERPRINT_VERSION}|{target.uid}|{_set_fields(change)}"
    return f"r-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


@lru_cache(maxsize=1_000)  # a fleet has few different changes; equal ones have equal JSON, also if one has 70 for 70.0
def _set_fields(change: Change) -> str:
    """The fields of a change that are set, as JSON."""
    unset = [
        name
        for name in _names(cast("Hashable", type(change)))
        if (value := getattr(change, name)) is None or value is False
    ]
    return to_json(change, without=unset)


def complete(
    proposal: Proposal,
    target: WorkloadRef,
    *,
    owner: str | None,
    confidence: float,
    now_s: int,
    lifetime_s: int,
    claims: tuple[str, ...],
    observed_s: int | None = None,
) -> Recommendation:
    """Turn a proposal into a recommendation.

    Args:
        proposal: the method's decision.
        target: the object to change.
        owner: the target's team, None if no label names one.
        confidence: 0 to 1.
        now_s: when it is made, epoch seconds.
        lifetime_s: seconds until it expires.
        claims: names of nodes and uids of workloads whose GPU time it counts.
        observed_s: length of the data behind it, seconds.
    """
    return Recommendation(
        id=identity(target, proposal.change),
        workload=target,
        owner=owner,
        finding=proposal.finding,
        reasons=proposal.reasons,
        change=proposal.change,
        saving=proposal.saving,
        risk=proposal.risk,
        confidence=confidence,
        coverage=proposal.coverage,
        evidence=proposal.evidence,
        restart_needed=proposal.restart_needed,
        rollback_possible=enactable(proposal.change, target),
        effort="Medium" if proposal.restart_needed else "Low",
        created_s=now_s,
        expires_s=now_s + lifetime_s,
        etag=hashlib.sha256(to_json(proposal).encode()).hexdigest()[:12],
        claims=claims,
        observed_s=observed_s,
    )
