"""Settings of cost: tags and budgets."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from gpuwise.finops.apis import TokenPrice
from gpuwise.finops.owners import TAGS
from gpuwise.model.cost import KEYS

FLEET, UNALLOCATED = "fleet", "unallocated"
"""What a budget can be for besides the keys of the allocation: the whole bill, and what no pod was allocated."""

_ANY_SUBJECT = f"^({'|'.join((FLEET, UNALLOCATED, *KEYS))})$"
_ANY_TAG = f"^({'|'.join(TAGS)})$"
_OWNER = "^(team|user|creator)$"


@dataclass(frozen=True, slots=True)
class Budget:
    """A budget of each calendar month (UTC)."""

    name: Annotated[str, Field(min_length=1)]
    """Its name in messages."""

    usd: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    """Dollars for each month."""

    by: Annotated[str, Field(pattern=_ANY_SUBJECT)] = "team"
    """A key of the allocation (docs/cost.md), such as team, project, model or namespace; or "fleet" for the whole bill,
    or "unallocated" for what no pod was allocated."""

    value: str = ""
    """The team, project, ... that it is for; not used for "fleet" and "unallocated"."""

    alert_at: tuple[Annotated[float, Field(gt=0)], ...] = (0.8, 1.0)
    """Shares of the budget that are reported when the cost has reached them; 1.0 is all of it."""


@dataclass(frozen=True, slots=True)
class FinopsSettings:
    """Who pays for what."""

    tags: Mapping[Annotated[str, Field(pattern=_ANY_TAG)], tuple[str, ...]] = field(default_factory=dict)
    """Labels or annotations that name an allocation key (organisation, team, project, model, user, phase), before the
    usual ones."""

    required_tags: Mapping[Annotated[str, Field(pattern=_ANY_TAG)], tuple[str, ...]] = field(
        default_factory=lambda: {"team": ()}
    )
    """Allocation keys that GPU time must have, with their allowed values; an empty list allows every value. `gpuwise
    tags` shows what they cover, and who created what lacks them."""

    api_prices: Mapping[str, TokenPrice] = field(default_factory=dict)
    """Prices of external models by the name that is requested, for gateways that count tokens: `gpuwise apis`."""

    known_owners: Mapping[Annotated[str, Field(pattern=_OWNER)], tuple[str, ...]] = field(default_factory=dict)
    """The teams, users or creators that exist; others are gone, and `gpuwise orphans` says so. Without a list, all are
    known."""

    budgets: tuple[Budget, ...] = ()
    """Budgets that `gpuwise budget` and the weekly report compare with the cost and its forecast."""
