"""What external model APIs cost: what a gateway counted in dollars, and its tokens by the prices of a table."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from gpuwise.model.apis import ApiUse

_MILLION = 1e6
BY = ("team", "provider", "model", "gateway")
"""What the use can be summed by."""


@dataclass(frozen=True, slots=True)
class TokenPrice:
    """What a model costs per million tokens."""

    input_usd: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    """Dollars per million input tokens."""

    output_usd: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    """Dollars per million output tokens."""


@dataclass(frozen=True, slots=True)
class ApiLine:
    """The use of external models by some keys.

    Attributes:
        keys: values of the keys; None where nothing names it.
        usd: dollars of what has a price; None if nothing of it has one.
        tokens: input and output tokens, where they are counted.
        unpriced_tokens: of these, those of models without a price; they are not part of the dollars.
    """

    keys: tuple[str | None, ...]
    usd: float | None
    tokens: float
    unpriced_tokens: float


def api_costs(uses: Iterable[ApiUse], by: Sequence[str], prices: Mapping[str, TokenPrice]) -> tuple[ApiLine, ...]:
    """Sum the use by some keys, the most expensive first.

    Args:
        uses: of a period.
        by: some of `BY`.
        prices: by model, as it is requested.
    """
    found: defaultdict[tuple[str | None, ...], list[ApiUse]] = defaultdict(list)
    for one in uses:
        found[tuple(getattr(one, key) for key in by)].append(one)
    lines = [_line(keys, group, prices) for keys, group in found.items()]
    return tuple(sorted(lines, key=lambda one: (-(one.usd or 0.0), -one.tokens, str(one.keys))))


def _line(keys: tuple[str | None, ...], uses: Sequence[ApiUse], prices: Mapping[str, TokenPrice]) -> ApiLine:
    amounts = [amount for one in uses if (amount := _usd(one, prices)) is not None]
    return ApiLine(
        keys=keys,
        usd=sum(amounts) if amounts else None,
        tokens=sum(map(_tokens, uses)),
        unpriced_tokens=sum(_tokens(one) for one in uses if _usd(one, prices) is None),
    )


def _tokens(one: ApiUse) -> float:
    return (one.input_tokens or 0.0) + (one.output_tokens or 0.0)


def _usd(one: ApiUse, prices: Mapping[str, TokenPrice]) -> float | None:
    if one.usd is not None:
        return one.usd
    price = prices.get(one.model or "")
    if price is None:
        return None
    tokens = (one.input_tokens or 0.0) * price.input_usd + (one.output_tokens or 0.0) * price.output_usd
    return tokens / _MILLION
