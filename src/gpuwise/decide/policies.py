"""The policies, in the order in which each recommendation has to pass them.

After these, two concern the fleet as a whole: the brake and the budgets (`decide.decide`).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from gpuwise.decide import approvals, gates, rules
from gpuwise.decide.question import Question, Refusal
from gpuwise.model.reasons import Reason


@dataclass(frozen=True, slots=True)
class Policy:
    """One check that a recommendation must pass to become a command.

    Attributes:
        name: its name, for messages and docs.
        check: returns why the change is not made now, None if this policy allows it.
        settings: the settings that it reads, below `policy`.
        people: whether it also forbids a person's `gpuwise apply`. What needs the target's present state the enactor
            checks for people, just before the effect.
        lasting: whether it will still forbid a person's command later: it depends neither on the time nor on rights.
    """

    name: str
    check: Callable[[Question], Refusal | None]
    settings: tuple[str, ...] = ()
    people: bool = False
    lasting: bool = False

    @property
    def about(self) -> str:
        """Return what it blocks, in one sentence."""
        return (self.check.__doc__ or "").partition("\n")[0]


CHECKS = "enactor's checks"
POLICIES = (
    Policy("supported change", gates.written, people=True, lasting=True),
    Policy("existing target", gates.exists, lasting=True),
    Policy("pause", gates.paused, people=True),
    Policy("fresh recommendation", gates.expired, people=True),
    Policy("dismissal", gates.dismissed, people=True, lasting=True),
    Policy("protected namespace", gates.system, ("protected_namespaces",), people=True, lasting=True),
    Policy("freeze", gates.frozen, ("freezes",), people=True),
    Policy("cool-down", gates.cooling, ("cool_down_h",), people=True),
    Policy("fresh inventory", gates.stale, ("max_inventory_age_s",)),
    Policy("protection", gates.protected, ("protections",), lasting=True),
    Policy("other owner", gates.owned, lasting=True),
    Policy("pod disruption budget", gates.disruptable, lasting=True),
    Policy("mode off", approvals.hands_off, ("mode",), lasting=True),
    Policy("data residency", gates.resident),
    Policy("rules", rules.forbidden, ("rules",), people=True),
    Policy("breaker", gates.broken, ("breaker_failures", "breaker_open_h")),
    Policy("mode", approvals.permitted, ("mode",)),
    Policy("blast radius", approvals.agreed, ("approvals",), people=True),
    Policy("hysteresis", gates.settled, ("hysteresis_h",)),
    Policy("risk", gates.risky, ("max_risk",)),
    Policy("confidence", gates.unsure, ("min_confidence",)),
    Policy("minimum saving", gates.small, ("min_saving_usd_month",)),
    Policy("maintenance window", gates.in_window, ("windows",)),
    Policy(CHECKS, gates.refused),
)
"""All policies. The first that forbids a change gives its reason."""

FOR_PEOPLE = tuple(policy for policy in POLICIES if policy.people)
LASTING = tuple(policy for policy in POLICIES if policy.lasting)


@dataclass(frozen=True, slots=True)
class Limiter:
    """A limit of the fleet as a whole, applied to the recommendations that pass all policies.

    Attributes:
        name: its name, for messages and docs.
        about: what it blocks, in one sentence.
        settings: the settings that it reads, below `policy`.
        people: whether it also applies to a person's `gpuwise apply`.
    """

    name: str
    about: str
    settings: tuple[str, ...]
    people: bool = False


BRAKE = Limiter(
    "brake", "So many workloads would change at once that the data are probably wrong.", ("brake_share", "brake_floor")
)
BUDGETS = Limiter(
    "budgets",
    "The budget of the fleet, or of one of the change's scopes, is used up.",
    ("budget", "budgets"),
    people=True,
)
AFTERWARDS = (BRAKE, BUDGETS)


def position(name: str) -> str:
    """Return the position of a policy in the list, for a message: "policy 17 of 26: mode".

    Args:
        name: of one of POLICIES or AFTERWARDS.
    """
    names = [one.name for one in (*POLICIES, *AFTERWARDS)]
    return f"policy {names.index(name) + 1} of {len(names)}: {name}" if name in names else f"policy {name}"


def refusal(q: Question, policies: Iterable[Policy] = POLICIES) -> tuple[str, Reason, str] | None:
    """Return the name of the first of these policies that forbids a change, and why; None if all allow it."""
    for policy in policies:
        found = policy.check(q)
        if found is not None:
            return policy.name, *found
    return None
