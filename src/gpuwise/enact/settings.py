"""How boldly the enactor may act."""

from dataclasses import dataclass

from gpuwise.model.command import Mode


@dataclass(frozen=True, slots=True)
class EnactSettings:
    """Limits on the enactor.

    Attributes:
        dry_run: look, say what would be done, and write nothing: neither to the cluster nor to the ledger.
        budget_limit: effects allowed in any `budget_per_s` seconds, over the whole fleet.
        budget_per_s: length of that sliding window, seconds.
        settle_timeout_s: how long to wait for the target's controller to take note of a write, seconds.
        protected_namespaces: never touched, besides the system's own: where gpuwise itself runs, and what policy says.
        default_mode: the policy's, for a workload that like its namespace says nothing; off holds for people too.
    """

    dry_run: bool = False
    budget_limit: int = 10
    budget_per_s: int = 3600
    settle_timeout_s: float = 5.0
    protected_namespaces: frozenset[str] = frozenset()
    default_mode: Mode = Mode.RECOMMEND
