"""Limits of the enactor."""

from dataclasses import dataclass

from gpuwise.model.command import Mode


@dataclass(frozen=True, slots=True)
class EnactSettings:
    """Limits on the enactor.

    Attributes:
        dry_run: only show what would be done; write neither to the cluster nor to the ledger.
        budget_limit: effects allowed in any `budget_per_s` seconds, for the whole fleet.
        budget_per_s: length of that sliding window, seconds.
        settle_timeout_s: how long to wait for the target's controller to observe a write, seconds.
        protected_namespaces: never changed, in addition to the system namespaces: gpuwise's own namespace, and those
            of the policy.
        default_mode: the policy's mode, for a workload that sets none and whose namespace sets none. The mode off
            also blocks people's commands.
    """

    dry_run: bool = False
    budget_limit: int = 10
    budget_per_s: int = 3600
    settle_timeout_s: float = 5.0
    protected_namespaces: frozenset[str] = frozenset()
    default_mode: Mode = Mode.RECOMMEND
