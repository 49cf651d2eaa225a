"""The policy: what gpuwise may change, when, how much of it, and what it must not change."""

from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from gpuwise.decide.calendar import Freeze, MaintenanceWindow
from gpuwise.decide.expression import compiled
from gpuwise.model.codec import pairs
from gpuwise.model.command import Budget, Mode

SCOPES = ("namespace", "owner", "pool")
"""What a budget may be for, besides the whole fleet."""


def _scope(name: str) -> str:
    kind, slash, member = name.partition("/")
    if kind not in SCOPES or not slash or not member:
        raise ValueError(f"a scope is one of {', '.join(f'{one}/NAME' for one in SCOPES)}, and NAME may be *")
    return name


def _written(mode: Any) -> Any:
    """YAML 1.1 reads off without quotes as false."""
    return Mode.OFF if mode is False else mode


@dataclass(frozen=True, slots=True)
class ScopeBudget:
    """How many disruptions gpuwise may cause within one scope."""

    disruptions: Annotated[int, Field(ge=0)]
    """Number of disruptions allowed in any `per_s` seconds."""

    per_s: Annotated[int, Field(ge=1)] = 3_600
    """Length of the sliding window, in seconds."""


@dataclass(frozen=True, slots=True)
class Approvals:
    """How many people must agree to a change."""

    persons: Annotated[int, Field(ge=1)] = 2
    """Number of different people who must approve a change above one of the limits below; the one who runs
    `gpuwise apply` counts. Below them, one is enough, and in mode enforce none is needed."""

    above_gpus: Annotated[int, Field(ge=0)] | None = None
    """GPUs that a change may affect before it needs `persons` approvals; without a value there is no such limit."""

    above_usd_month: Annotated[float, Field(ge=0)] | None = None
    """Dollars per month that a change may save before it needs `persons` approvals; without a value, any amount."""

    valid_h: Annotated[int, Field(ge=1)] = 72
    """Hours for which an approval is valid."""

    authenticated: bool = False
    """Whether only people count whom the cluster authenticated (--kubeconfig or --context): the name of an operating
    system's user can be chosen."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition in CEL under which a change is not made, for what the other settings cannot express."""

    name: Annotated[str, Field(min_length=1)]
    """Name of the rule, for messages."""

    forbid_if: Annotated[str, AfterValidator(compiled)]
    """CEL expression; if it is true or cannot be evaluated, the change is not made. docs/policy.md lists its
    variables."""

    message: str = ""
    """Explanation for the people whom it stops."""

    people: bool = False
    """Whether it also forbids `gpuwise apply`."""


@dataclass(frozen=True, slots=True)
class DecideSettings:
    """One policy for the fleet; a label or annotation sets the mode of a workload or a namespace."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # also of the nested classes

    mode: Annotated[Mode, BeforeValidator(_written)] = Mode.RECOMMEND
    """Mode of workloads without a mode of their own or of their namespace: off, recommend, approve or enforce."""

    budget: Budget = field(default_factory=Budget)
    """Disruptions allowed in the whole fleet."""

    budgets: dict[Annotated[str, AfterValidator(_scope)], ScopeBudget] = field(default_factory=dict)
    """Further budgets by scope: namespace/NAME, owner/NAME (a team) or pool/NAME (of nodes); NAME * is the budget of
    each one that has none of its own. Where a kind of scope is used, a member without a budget is not changed."""

    windows: tuple[MaintenanceWindow, ...] = ()
    """Hours in which automation may make changes; empty for any hour. `gpuwise apply` works at any time."""

    freezes: tuple[Freeze, ...] = ()
    """Days on which nothing is changed, by automation or by people."""

    approvals: Approvals = field(default_factory=Approvals)
    """How many people must agree to a change."""

    rules: tuple[Rule, ...] = ()
    """Conditions in CEL under which changes are not made."""

    max_risk: Annotated[int, Field(ge=0, le=4)] = 1
    """Highest risk for automatic changes; riskier recommendations need a person: `gpuwise apply ID`."""

    min_confidence: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Lowest confidence for automatic changes: 0.5 is a week of well-covered data."""

    min_saving_usd_month: Annotated[float, Field(ge=0)] = 0.0
    """Least saving of an automatic change, in dollars per month."""

    cool_down_h: Annotated[int, Field(ge=0)] = 24
    """Hours after a change in which the target is not changed again. Otherwise two controllers can rescale a workload
    back and forth, 600 times in a public report (I14)."""

    hysteresis_h: Annotated[int, Field(ge=0)] = 168
    """Hours in which automation leaves a target to people after its last change was undone or reverted (I14)."""

    breaker_failures: Annotated[int, Field(ge=1)] = 2
    """Number of consecutive failed automatic attempts after which a target is left to people (I15)."""

    breaker_open_h: Annotated[int, Field(ge=0)] = 24
    """Hours after the last failed attempt before automation tries again; `gpuwise apply` works at any time."""

    brake_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    """If more than this share of all workloads is to change at once, the run changes nothing: the data are probably
    wrong (I16)."""

    brake_floor: Annotated[int, Field(ge=0)] = 5
    """Number of changes up to which the brake never engages: in a fleet of three workloads two may be idle."""

    max_inventory_age_s: Annotated[int, Field(ge=0)] = 300
    """Maximum age of the inventory, in seconds, for a change."""

    protected_namespaces: tuple[str, ...] = ()
    """Namespaces that gpuwise never changes, in addition to the system namespaces."""

    protections: Annotated[dict[str, str], BeforeValidator(pairs)] = field(default_factory=dict)
    """Further labels or annotations that protect a workload, pod or namespace, with the value; "*" is any value."""

    required_labels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Labels that `gpuwise policy check` requires of workloads, by pattern of their namespace: {"prod-*": [owner]}. The
    label may be on the workload, its pods or the namespace; owner is any label that names a team. Decisions do not use
    it."""

    @property
    def longest_window_s(self) -> int:
        """The longest sliding window of any budget, in seconds."""
        return max(self.budget.per_s, *(one.per_s for one in self.budgets.values()), 0)
