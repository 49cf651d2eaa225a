"""The policy: what gpuwise may change, and what it must not change."""

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import BeforeValidator

from gpuwise.model.codec import pairs
from gpuwise.model.command import Budget, Mode


@dataclass(frozen=True, slots=True)
class DecideSettings:
    """One policy for the fleet; a label or annotation sets the mode of a workload or a namespace."""

    mode: Mode = Mode.RECOMMEND
    """Mode of workloads without a mode of their own or of their namespace: off, recommend, approve or enforce."""

    budget: Budget = field(default_factory=Budget)
    """Disruptions allowed in the whole fleet."""

    max_risk: int = 1
    """Highest risk for automatic changes; riskier recommendations need a person: `gpuwise apply ID`."""

    min_confidence: float = 0.5
    """Lowest confidence for automatic changes: 0.5 is a week of well-covered data."""

    cool_down_h: int = 24
    """Hours after a change in which the target is not changed again. Otherwise two controllers can rescale a workload
    back and forth, 600 times in a public report (I14)."""

    breaker_failures: int = 2
    """Number of consecutive failed automatic attempts after which a target is left to people (I15)."""

    breaker_open_h: int = 24
    """Hours after the last failed attempt before automation tries again; `gpuwise apply` works at any time."""

    brake_share: float = 0.5
    """If more than this share of all workloads is to change at once, the run changes nothing: the data are probably
    wrong (I16)."""

    brake_floor: int = 5
    """Number of changes up to which the brake never engages: in a fleet of three workloads two may be idle."""

    max_inventory_age_s: int = 300
    """Maximum age of the inventory, in seconds, for a change."""

    protected_namespaces: tuple[str, ...] = ()
    """Namespaces that gpuwise never changes, in addition to the system namespaces."""

    protections: Annotated[dict[str, str], BeforeValidator(pairs)] = field(default_factory=dict)
    """Further labels or annotations that protect a workload, pod or namespace, with the value; "*" is any value."""
