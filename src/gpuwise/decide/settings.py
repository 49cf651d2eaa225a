"""The policy: how far gpuwise may go, and what it leaves alone."""

from dataclasses import dataclass, field

from gpuwise.model.command import Budget, Mode


@dataclass(frozen=True, slots=True)
class DecideSettings:
    """One policy for the fleet; workloads and namespaces say their own mode by label."""

    mode: Mode = Mode.RECOMMEND
    """For workloads that, like their namespace, say nothing."""

    budget: Budget = field(default_factory=Budget)
    """Disruptions allowed, over the whole fleet."""

    max_risk: int = 1
    """Riskier recommendations are for people: `gpuwise apply ID`."""

    min_confidence: float = 0.5
    """A week of well-covered data; see `Case.confidence`."""

    cool_down_h: int = 24
    """One change to a target a day: 600 rescales in a fight with an operator is what happens else (story 25)."""

    breaker_failures: int = 2
    """Attempts of automation on a target that failed in a row, after which it is left to people (I15)."""

    breaker_open_h: int = 24
    """So long after the last of them automation tries again; a person's `gpuwise apply` is never kept from it."""

    brake_share: float = 0.5
    """Wanting to change more than this share of all workloads at once means that the data lie, not the fleet (I16)."""

    brake_floor: int = 5
    """Up to so many changes the brake never engages: a fleet of three workloads may have two idle ones."""

    max_inventory_age_s: int = 300
    """An older look at the fleet is no ground for a change."""

    protected_namespaces: tuple[str, ...] = ()
    """Besides the system's own."""
