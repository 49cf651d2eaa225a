"""Cost rows as charges of FOCUS 1.3, the FinOps Open Cost and Usage Specification (focus.finops.org).

An origin charge is what the GPUs of one price cost in one day; its rows are allocated charges of a split ("Data
Generator-Calculated Split Cost Allocation Handling"). The quantities are rounded, and nothing else: a cost is the exact
product of quantity and unit price, so the charges of an origin sum to it to the last digit.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from gpuwise.model.cost import CLASSES, NOBODY, CostDay, CostRow, Owner, Price
from gpuwise.model.hours import HOUR_S
from gpuwise.model.inventory import CapacityType
from gpuwise.model.usage import DAY_S

Details = Mapping[str, "str | int | Decimal | Sequence[Details]"]
Cell = str | bool | Decimal | Details | None
"""A text, a number, a JSON object, or null."""

QUANTITY_DIGITS = 9
"""Decimals of a quantity in GPU-hours: 3.6 microseconds of one GPU."""

PRICE_DIGITS = 10
"""Decimals of a unit price: 0.01 USD in a month of 270,000 GPUs."""

COST_DIGITS = QUANTITY_DIGITS + PRICE_DIGITS
"""Decimals of a cost, which is an exact product."""

RATIO_DIGITS = 12
"""Decimals of an allocated ratio."""

_DIGITS = 60

METHOD = "gpuwise-gpu-time-1"
"""AllocatedMethodId: by measured GPU time, as docs/export.md describes it."""
OWN_USE_METHOD = "gpuwise-own-use-1"
"""The same where shared GPUs were divided by what each pod was measured to use of them."""

UNIT = "GPU-Hours"
TAG = "gpuwise.dev/"
"""Prefix of the keys of all tags."""

METRICS = (
    "BilledCost",
    "ConsumedQuantity",
    "ContractedCost",
    "ContractedUnitPrice",
    "EffectiveCost",
    "ListCost",
    "ListUnitPrice",
    "PricingQuantity",
)
"""Columns with numbers."""

OBJECTS = ("AllocatedMethodDetails", "AllocatedTags", "SkuPriceDetails", "Tags")
"""Columns with JSON objects."""

_OWN = tuple(f"x_gpuwise_{name}" for name in ("cluster", "class", *Owner._fields, "gpu_type", "capacity_type"))
FINAL = "x_gpuwise_final"
"""The column that tells whether the day is closed."""

COLUMNS = (
    "AllocatedMethodDetails",
    "AllocatedMethodId",
    "AllocatedResourceId",
    "AllocatedResourceName",
    "AllocatedTags",
    "AvailabilityZone",
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingAccountType",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargeFrequency",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedCost",
    "ContractedUnitPrice",
    "EffectiveCost",
    "HostProviderName",
    "InvoiceId",
    "InvoiceIssuerName",
    "ListCost",
    "ListUnitPrice",
    "PricingCategory",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "RegionId",
    "RegionName",
    "ResourceId",
    "ResourceName",
    "ResourceType",
    "ServiceCategory",
    "ServiceName",
    "ServiceProviderName",
    "ServiceSubcategory",
    "SkuId",
    "SkuMeter",
    "SkuPriceDetails",
    "SkuPriceId",
    "SubAccountId",
    "SubAccountName",
    "SubAccountType",
    "Tags",
    *_OWN,
    FINAL,
)
"""The columns of FOCUS in the alphabet, then those of gpuwise."""

_PRICING = {CapacityType.SPOT: "Dynamic", CapacityType.RESERVED: "Committed"}

_OF_CLASS = {
    "used": "used by {owner}",
    "idle": "allocated to {owner} and idle",
    "outside": "used outside Kubernetes",
    "unallocated": "not allocated to a pod",
    "unknown": "of {owner}, not measured",
    "stranded": "of cards that MIG divides, in no instance",
}


@dataclass(frozen=True, slots=True)
class Account:
    """Who is charged, and by whom.

    Attributes:
        cluster: identifier of the cluster.
        cluster_name: its name.
        billing_account: identifier of the account that pays for the cluster.
        provider: who provides the GPUs, in regions that are not in `providers`.
        providers: the same by region.
    """

    cluster: str
    cluster_name: str
    billing_account: str
    provider: str
    providers: Mapping[str, str] = field(default_factory=dict)


class _Part(NamedTuple):
    """The time of one owner in one class, and how it was divided."""

    owner: Owner
    name: str
    gpu_s: float
    method: str


def focus_rows(costs: Iterable[CostRow], days: Iterable[CostDay], account: Account) -> Iterator[dict[str, Cell]]:
    """Yield the charges of the rows that have a price, by `COLUMNS`; a row without a price is no charge of 0.

    Args:
        costs: rows of whole days of one cluster.
        days: which part of each day they are of; a day that is not listed counts as whole, and as not closed.
        account: of the cluster.
    """
    known = {day.day_s: day for day in days}
    origins: defaultdict[tuple[int, Price], list[_Part]] = defaultdict(list)
    for row in costs:
        if row.price.usd_per_gpu_h is not None:
            method = OWN_USE_METHOD if row.measures.by_use_s else METHOD
            times = (_Part(row.owner, name, getattr(row.time, name), method) for name in CLASSES)
            origins[row.day_s, row.price] += [one for one in times if one.gpu_s > 0.0]
    with localcontext(prec=_DIGITS):
        for (day_s, price), parts in origins.items():
            day = known.get(day_s) or CostDay(day_s, day_s, day_s + DAY_S, closed=False)
            yield from _split(parts, price, _origin(day, price, account))


def unpriced(costs: Iterable[CostRow]) -> dict[str | None, float]:
    """GPU-hours without a price by GPU type; None is an unknown type.

    Args:
        costs: rows of a cost history.
    """
    found: defaultdict[str | None, float] = defaultdict(float)
    for row in costs:
        if row.price.usd_per_gpu_h is None and row.time.capacity > 0.0:
            found[row.price.gpu_type] += row.time.capacity / HOUR_S
    return dict(found)


def rounded(parts: Sequence[Fraction], digits: int) -> list[Decimal]:
    """Round parts so that they sum to their rounded sum: the largest remainders are rounded up.

    Hare's method of the largest remainder; of equal remainders the first counts.

    Args:
        parts: 0 or more.
        digits: decimals.
    """
    scale = 10**digits
    floors = [part.numerator * scale // part.denominator for part in parts]
    missing = round(sum(parts, Fraction()) * scale) - sum(floors)
    by_remainder = sorted(range(len(parts)), key=lambda at: floors[at] - parts[at] * scale)
    for at in by_remainder[:missing]:
        floors[at] += 1
    return [Decimal(one).scaleb(-digits) for one in floors]


def _split(parts: Sequence[_Part], price: Price, origin: dict[str, Cell]) -> Iterator[dict[str, Cell]]:
    unit_price = origin["ListUnitPrice"]
    assert isinstance(unit_price, Decimal)
    hours = rounded([Fraction(part.gpu_s) / HOUR_S for part in parts], QUANTITY_DIGITS)
    left = [(part, quantity) for part, quantity in zip(parts, hours, strict=True) if quantity]
    whole = sum(Fraction(quantity) for _, quantity in left)
    ratios = rounded([Fraction(quantity) / whole for _, quantity in left], RATIO_DIGITS)
    for ((owner, name, _, method), quantity), ratio in zip(left, ratios, strict=True):
        cost = quantity * unit_price
        costs = dict.fromkeys(("BilledCost", "ContractedCost", "EffectiveCost", "ListCost"), cost)
        quantities = {"ConsumedQuantity": quantity, "PricingQuantity": quantity}
        element = {"AllocatedRatio": ratio, "UsageUnit": UNIT, "UsageQuantity": quantity}
        allocated = _allocated(owner) | {"AllocatedMethodDetails": {"Elements": [element]}}
        text = _OF_CLASS[name].format(owner=allocated.get("AllocatedResourceId", "nobody known"))
        own = {
            "ChargeDescription": f"GPU-hours of {price.gpu_type or 'GPUs'}, {text}",
            "AllocatedMethodId": method,
            "x_gpuwise_class": name,
            **{f"x_gpuwise_{key}": value for key, value in zip(Owner._fields, owner, strict=True)},
        }
        yield dict.fromkeys(COLUMNS) | origin | costs | quantities | allocated | own


def _allocated(owner: Owner) -> dict[str, Cell]:
    """The columns of what a part is allocated to: null for what no pod was allocated."""
    if owner == NOBODY:
        return {}
    tags = {f"{TAG}{key}": value for key, value in zip(Owner._fields, owner, strict=True) if value is not None}
    name = owner.workload or "deleted workloads"
    return {
        "AllocatedResourceId": "/".join(filter(None, (owner.namespace, owner.workload))) or name,
        "AllocatedResourceName": name,
        "AllocatedTags": tags,
    }


def _origin(day: CostDay, price: Price, account: Account) -> dict[str, Cell]:
    """The columns that all charges of an origin have in common."""
    assert price.usd_per_gpu_h is not None
    unit_price = Decimal(price.usd_per_gpu_h).quantize(Decimal(1).scaleb(-PRICE_DIGITS))
    month = np.datetime64(day.day_s, "s").astype("datetime64[M]")
    kind = None if price.capacity_type is None else price.capacity_type.value
    pool = (price.gpu_type or "unknown GPU type", kind or "unknown capacity type")
    places = (price.region or "any region", price.zone or "any zone")
    provider = account.providers.get(price.region or "", account.provider)
    tags = {"cluster": account.cluster, "gpu-type": price.gpu_type, "capacity-type": kind}
    return {
        "AvailabilityZone": price.zone,
        "BillingAccountId": account.billing_account,
        "BillingAccountName": account.billing_account,
        "BillingAccountType": "Billing account",
        "BillingCurrency": "USD",
        "BillingPeriodStart": _instant(month),
        "BillingPeriodEnd": _instant(month + np.timedelta64(1, "M")),
        "ChargeCategory": "Usage",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodStart": _instant(np.datetime64(day.from_s, "s")),
        "ChargePeriodEnd": _instant(np.datetime64(day.until_s, "s")),
        "ConsumedUnit": UNIT,
        "ContractedUnitPrice": unit_price,
        "HostProviderName": provider,
        "InvoiceIssuerName": provider,
        "ListUnitPrice": unit_price,
        "PricingCategory": _PRICING.get(price.capacity_type, "Standard") if price.capacity_type else "Standard",
        "PricingUnit": UNIT,
        "ProviderName": provider,
        "PublisherName": provider,
        "RegionId": price.region,
        "RegionName": price.region,
        "ResourceId": "/".join((account.cluster, *pool, *places)),
        "ResourceType": "GPU node pool",
        "ServiceCategory": "Compute",
        "ServiceName": "GPU nodes of Kubernetes",
        "ServiceProviderName": provider,
        "ServiceSubcategory": "Containers",
        "SkuId": pool[0],
        "SkuMeter": "GPU time",
        "SkuPriceDetails": {"GpuCount": 1, "x_CapacityType": pool[1]},
        "SkuPriceId": "/".join((*pool, *places)),
        "SubAccountId": account.cluster,
        "SubAccountName": account.cluster_name,
        "SubAccountType": "Kubernetes cluster",
        "Tags": {f"{TAG}{key}": value for key, value in tags.items() if value is not None},
        "x_gpuwise_cluster": account.cluster,
        "x_gpuwise_gpu_type": price.gpu_type,
        "x_gpuwise_capacity_type": kind,
        FINAL: day.closed,
    }


def _instant(at: np.datetime64) -> str:
    return f"{at.astype('datetime64[s]')}Z"
