"""Limits of the enactor."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gpuwise.model.command import FLEET, Limit, Mode


@dataclass(frozen=True, slots=True)
class EnactSettings:
    """Limits on the enactor.

    Attributes:
        dry_run: only show what would be done; write neither to the cluster nor to the ledger.
        limits: budgets of effects.
        settle_timeout_s: how long to wait for the target's controller to observe a write, seconds.
        protected_namespaces: never changed, in addition to the system namespaces: gpuwise's own namespace, and those
            of the policy.
        protections: further labels or annotations that protect, with the value; "*" is any value.
        default_mode: the policy's mode, for a workload that sets none and whose namespace sets none. The mode off
            also blocks people's commands.
    """

    dry_run: bool = False
    limits: tuple[Limit, ...] = (Limit(FLEET, 10, 3_600),)
    settle_timeout_s: float = 5.0
    protected_namespaces: frozenset[str] = frozenset()
    protections: Mapping[str, str] = field(default_factory=dict)
    default_mode: Mode = Mode.RECOMMEND
