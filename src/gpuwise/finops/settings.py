"""Settings of cost: tags and budgets."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import AfterValidator, Field

from gpuwise.finops.apis import TokenPrice
from gpuwise.finops.energy import Factors
from gpuwise.model.cost import KEYS
from gpuwise.model.tagging import TAGS

FLEET, UNALLOCATED = "fleet", "unallocated"
"""What a budget can be for besides the keys of the allocation: the whole bill, and what no pod was allocated."""

_ANY_SUBJECT = f"^({'|'.join((FLEET, UNALLOCATED, *KEYS))})$"
_ANY_TAG = f"^({'|'.join(TAGS)})$"
_OWNER = "^(team|user|creator)$"


@dataclass(frozen=True, slots=True)
class Budget:
    """A budget of each calendar month (UTC)."""

    name: Annotated[str, Field(pattern=r"\S")]
    """Its name in messages."""

    usd: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    """Dollars for each month."""

    by: Annotated[str, Field(pattern=_ANY_SUBJECT)] = "team"
    """A key of the allocation (docs/cost.md), such as team, project, model or namespace; or "fleet" for the whole bill,
    or "unallocated" for what no pod was allocated."""

    value: str | None = None
    """The team, project, ... that it is for; "" is the cost that nothing names. None with "fleet" and "unallocated"."""

    alert_at: tuple[Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)], ...] = (0.8, 1.0)
    """Shares of the budget that are reported when the cost has reached them; 1.0 is all of it."""


def _of_somebody(one: Budget) -> Budget:
    """Check that a budget names its subject: one that forgot it would be that of work without a team."""
    if one.by in (FLEET, UNALLOCATED):
        if one.value is not None:
            raise ValueError(f"budget {one.name!r} is by {one.by}, which has no value: remove value {one.value!r}")
    elif one.value is None:
        raise ValueError(
            f'budget {one.name!r} is by {one.by}, and has no value: name the {one.by}; "" is work without one'
        )
    return one


def _named_once(budgets: tuple[Budget, ...]) -> tuple[Budget, ...]:
    """Check that no two budgets have one name: messages, metrics and alerts would mix them up."""
    names = [one.name for one in budgets]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"two budgets have the name {twice!r}: give each a name of its own")
    return budgets


@dataclass(frozen=True, slots=True)
class UnitValue:
    """What a unit, or a month, of somebody's work is worth."""

    value: Annotated[str, Field(min_length=1)]
    """The project, team, ... that it is for."""

    by: Annotated[str, Field(pattern=f"^({'|'.join(KEYS)})$")] = "project"
    """A key of the allocation (docs/cost.md)."""

    usd_per_unit: Annotated[float | None, Field(ge=0, allow_inf_nan=False)] = None
    """Dollars per request or unit of declared work. The annotation gpuwise.dev/value-usd-per-unit comes first."""

    unit: str = ""
    """"request", or the counter of declared work; "" is any unit."""

    usd_month: Annotated[float | None, Field(ge=0, allow_inf_nan=False)] = None
    """Dollars per month, whatever the units."""


def _with_amount(one: UnitValue) -> UnitValue:
    """Check that a value is worth something: without an amount it would be ignored without a word."""
    if one.usd_per_unit is None and one.usd_month is None:
        raise ValueError(f"the value of {one.value!r} has no amount: give it usd_per_unit or usd_month")
    return one


def _some_tags(required: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
    """Check that a tag is required: all GPU time has no tags at all."""
    if not required:
        raise ValueError("no tag is required, so nothing could be covered: name one, as {team: []}, or leave it out")
    return required


@dataclass(frozen=True, slots=True)
class FinopsSettings:
    """Who pays for what."""

    tags: Mapping[Annotated[str, Field(pattern=_ANY_TAG)], tuple[str, ...]] = field(default_factory=dict)
    """Labels or annotations that name an allocation key (organisation, team, project, model, user, phase), before the
    usual ones."""

    tool_usd_month: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """What gpuwise itself costs in a month: its pods, Prometheus, and the time of people. With it the KPIs have the
    return on gpuwise."""

    required_tags: Annotated[
        Mapping[Annotated[str, Field(pattern=_ANY_TAG)], tuple[str, ...]], AfterValidator(_some_tags)
    ] = field(default_factory=lambda: {"team": ()})
    """Allocation keys that GPU time must have, with their allowed values; an empty list allows every value. `gpuwise
    tags` shows what they cover, and who created what lacks them."""

    api_prices: Mapping[str, TokenPrice] = field(default_factory=dict)
    """Prices of external models by the name that is requested, for gateways that count tokens: `gpuwise apis`."""

    known_owners: Mapping[Annotated[str, Field(pattern=_OWNER)], tuple[str, ...]] = field(default_factory=dict)
    """The teams, users or creators that exist; others are gone, and `gpuwise orphans` says so. Without a list, all are
    known."""

    budgets: Annotated[tuple[Annotated[Budget, AfterValidator(_of_somebody)], ...], AfterValidator(_named_once)] = ()
    """Budgets that `gpuwise budget` and the weekly report compare with the cost and its forecast."""

    values: tuple[Annotated[UnitValue, AfterValidator(_with_amount)], ...] = ()
    """What units or months of work are worth, for the return that `gpuwise units` shows beside their cost."""

    pue: Annotated[float, Field(ge=1, le=10)] = 1.0
    """Energy of the data centre by that of its IT equipment, for `gpuwise energy`; 1.0 counts the boards alone."""

    pue_by_region: Mapping[str, Annotated[float, Field(ge=1, le=10)]] = field(default_factory=dict)
    """The same for regions that have another."""

    def factors(self, kg_co2e_per_kwh: Mapping[str, float]) -> Factors:
        """Return what turns energy of GPUs into that of the data centre and into carbon.

        Args:
            kg_co2e_per_kwh: intensity of the grid by region.
        """
        return Factors(self.pue, self.pue_by_region, kg_co2e_per_kwh)
