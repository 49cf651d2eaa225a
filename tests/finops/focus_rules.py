"""Rules of the FOCUS specification that apply to charges of GPU usage, each with its name.

A name such as BilledCost-C-003-M is of the requirements model of FOCUS 1.2; what 1.3 added is named by the page of
the specification and the requirement. A rule returns the charges that break it.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

Charge = dict[str, Any]
Rule = Callable[[list[Charge]], list[Charge]]

MANDATORY = {
    "BilledCost": "CostAndUsage-D-006-M",
    "BillingAccountId": "CostAndUsage-D-024-M",
    "BillingAccountName": "CostAndUsage-D-005-M",
    "BillingCurrency": "CostAndUsage-D-035-M",
    "BillingPeriodEnd": "CostAndUsage-D-010-M",
    "BillingPeriodStart": "CostAndUsage-D-009-M",
    "ChargeCategory": "CostAndUsage-D-008-M",
    "ChargeClass": "CostAndUsage-D-026-M",
    "ChargeDescription": "CostAndUsage-D-025-M",
    "ChargePeriodEnd": "CostAndUsage-D-028-M",
    "ChargePeriodStart": "CostAndUsage-D-037-M",
    "ContractedCost": "CostAndUsage-D-030-M",
    "EffectiveCost": "CostAndUsage-D-031-M",
    "HostProviderName": "1.3 HostProviderName: present",
    "InvoiceIssuerName": "CostAndUsage-D-023-M",
    "ListCost": "CostAndUsage-D-032-M",
    "PricingQuantity": "CostAndUsage-D-036-M",
    "PricingUnit": "CostAndUsage-D-068-M",
    "ProviderName": "CostAndUsage-D-038-M",
    "PublisherName": "CostAndUsage-D-021-M",
    "ServiceCategory": "CostAndUsage-D-040-M",
    "ServiceName": "CostAndUsage-D-041-M",
    "ServiceProviderName": "1.3 ServiceProviderName: present",
}
"""Columns that every dataset has, and the rule that says so."""

CONDITIONAL = {
    "AllocatedMethodId": "1.3 AllocatedMethodId: present with split cost allocation",
    "AllocatedResourceId": "1.3 AllocatedResourceId: present with split cost allocation",
    "AllocatedResourceName": "1.3 AllocatedResourceName: present with split cost allocation",
    "AllocatedTags": "1.3 AllocatedTags: present with split cost allocation",
    "BillingAccountType": "CostAndUsage-D-007-C",
    "ConsumedQuantity": "CostAndUsage-D-011-C",
    "ConsumedUnit": "CostAndUsage-D-066-C",
    "ContractedUnitPrice": "CostAndUsage-D-034-C",
    "ListUnitPrice": "CostAndUsage-D-004-C",
    "PricingCategory": "CostAndUsage-D-022-C",
    "RegionId": "CostAndUsage-D-063-C",
    "RegionName": "CostAndUsage-D-062-C",
    "ResourceId": "CostAndUsage-D-043-C",
    "ResourceName": "CostAndUsage-D-044-C",
    "ResourceType": "CostAndUsage-D-039-C",
    "SkuId": "CostAndUsage-D-060-C",
    "SkuMeter": "CostAndUsage-D-059-C",
    "SkuPriceDetails": "CostAndUsage-D-061-C",
    "SkuPriceId": "CostAndUsage-D-058-C",
    "SubAccountId": "CostAndUsage-D-019-C",
    "SubAccountName": "CostAndUsage-D-029-C",
    "SubAccountType": "CostAndUsage-D-067-C",
    "Tags": "CostAndUsage-D-064-C",
}
"""Columns that apply to clusters with regions, price lists, node pools and tags."""

RECOMMENDED = {
    "AllocatedMethodDetails": "1.3 AllocatedMethodDetails: recommended with split cost allocation",
    "AvailabilityZone": "CostAndUsage-D-003-C",
    "ChargeFrequency": "CostAndUsage-D-027-O",
    "InvoiceId": "CostAndUsage-D-033-O",
    "ServiceSubcategory": "CostAndUsage-D-042-O",
}

NOT_NULL = {
    "BilledCost-C-003-M": "BilledCost",
    "EffectiveCost-C-003-M": "EffectiveCost",
    "ContractedCost-C-003-M": "ContractedCost",
    "ListCost-C-003-M": "ListCost",
    "BillingCurrency-C-004-M": "BillingCurrency",
    "ChargePeriodEnd-C-003-M": "ChargePeriodEnd",
    "BillingPeriodEnd-C-003-M": "BillingPeriodEnd",
    "ServiceCategory-C-002-M": "ServiceCategory",
    "ServiceSubcategory-C-002-M": "ServiceSubcategory",
    "ChargeFrequency-C-002-M": "ChargeFrequency",
    "ChargeDescription-C-003-O": "ChargeDescription",
    "PricingQuantity-C-005-C": "PricingQuantity",
    "PricingUnit-C-006-C": "PricingUnit",
    "ConsumedQuantity-C-006-C": "ConsumedQuantity",
    "ConsumedUnit-C-006-C": "ConsumedUnit",
    "ContractedUnitPrice-C-006-C": "ContractedUnitPrice",
    "ListUnitPrice-C-005-C": "ListUnitPrice",
    "PricingCategory-C-004-C": "PricingCategory",
    "SkuId-C-005-C": "SkuId",
    "SkuPriceId-C-005-C": "SkuPriceId",
    "SkuMeter-C-005-C": "SkuMeter",
    "ResourceType-C-005-C": "ResourceType",
    "SubAccountName-C-005-C": "SubAccountName",
    "SubAccountType-C-005-C": "SubAccountType",
    "BillingAccountType-C-005-C": "BillingAccountType",
    "1.3 ServiceProviderName: not null": "ServiceProviderName",
    "1.3 HostProviderName: not null": "HostProviderName",
    "1.3 InvoiceIssuerName: not null": "InvoiceIssuerName",
    "1.3 AllocatedMethodId: not null in a split": "AllocatedMethodId",
    "1.3 AllocatedMethodDetails: not null in a split": "AllocatedMethodDetails",
}

ALLOWED = {
    "ChargeCategory: allowed values": ("ChargeCategory", {"Usage", "Purchase", "Tax", "Credit", "Adjustment"}),
    "ChargeClass-C-005-C": ("ChargeClass", {None, "Correction"}),
    "ChargeFrequency-C-003-M": ("ChargeFrequency", {"One-Time", "Recurring", "Usage-Based"}),
    "PricingCategory-C-007-M": ("PricingCategory", {"Standard", "Dynamic", "Committed", "Other"}),
    "ServiceCategory-C-003-M": (
        "ServiceCategory",
        {
            "AI and Machine Learning", "Analytics", "Business Applications", "Compute", "Databases", "Developer Tools",
            "Multicloud", "Identity", "Integration", "Internet of Things", "Management and Governance", "Media",
            "Migration", "Mobile", "Networking", "Security", "Storage", "Web", "Other",
        },
    ),
    "ServiceSubcategory-C-004-M": (
        "ServiceSubcategory",
        {
            "Containers", "End User Computing", "Quantum Compute", "Serverless Compute", "Virtual Machines",
            "Other (Compute)",
        },
    ),
}  # fmt: skip
"""Columns with a list of values; the subcategories are those of Compute."""

NUMBERS = (
    "BilledCost", "ConsumedQuantity", "ContractedCost", "ContractedUnitPrice", "EffectiveCost", "ListCost",
    "ListUnitPrice", "PricingQuantity",
)  # fmt: skip
OBJECTS = ("AllocatedTags", "Tags", "SkuPriceDetails")
INSTANTS = ("BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd")
SUMMED = ("BilledCost", "ConsumedQuantity", "ContractedCost", "EffectiveCost", "ListCost", "PricingQuantity")
_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")
_COLUMN = re.compile(r"[A-Z][A-Za-z0-9]*")


def read(text: str) -> list[Charge]:
    """The charges of the JSON form; every number is exact."""
    found: list[Charge] = json.loads(text, parse_float=Decimal, parse_int=Decimal)
    return found


def rules() -> Iterator[tuple[str, Rule]]:
    """Every rule by name."""
    for column, name in (MANDATORY | CONDITIONAL | RECOMMENDED).items():
        yield name, lambda charges, column=column: [one for one in charges if column not in one]
    for name, column in NOT_NULL.items():
        yield name, lambda charges, column=column: [one for one in charges if one[column] in (None, "")]
    for name, (column, values) in ALLOWED.items():
        yield name, lambda charges, at=column, known=values: [one for one in charges if one[at] not in known]
    for column in NUMBERS:
        yield (
            f"NumericFormat-A-002-M of {column}",
            lambda charges, column=column: [one for one in charges if not isinstance(one[column], Decimal)],
        )
    for column in INSTANTS:
        yield (
            f"DateTimeFormat-A-003-M of {column}",
            lambda charges, column=column: [one for one in charges if not _INSTANT.fullmatch(one[column])],
        )
    for column in OBJECTS:
        yield f"KeyValueFormat-A-003-M of {column}", lambda charges, column=column: _nested(charges, column)
    yield from OWN.items()


def _nested(charges: list[Charge], column: str) -> list[Charge]:
    return [one for one in charges if any(isinstance(value, dict | list) for value in (one[column] or {}).values())]


def _product(unit_price: str, cost: str) -> Rule:
    return lambda charges: [one for one in charges if one[unit_price] * one["PricingQuantity"] != one[cost]]


def _months(charges: list[Charge]) -> list[Charge]:
    def whole(one: Charge) -> bool:
        start, end = (datetime.fromisoformat(one[f"BillingPeriod{edge}"]) for edge in ("Start", "End"))
        return start.day == end.day == 1 and timedelta(days=28) <= end - start <= timedelta(days=31)

    return [one for one in charges if not whole(one)]


def _outside(charges: list[Charge]) -> list[Charge]:
    """Charges that are not within one day of their billing period; instants of this form sort as text."""

    def within(one: Charge) -> bool:
        start, end = one["ChargePeriodStart"], one["ChargePeriodEnd"]
        day = datetime.fromisoformat(end) - datetime.fromisoformat(start)
        inside = one["BillingPeriodStart"] <= start < end <= one["BillingPeriodEnd"]
        return inside and day <= timedelta(days=1) and datetime.fromisoformat(start).tzinfo == UTC

    return [one for one in charges if not within(one)]


def origins(charges: list[Charge]) -> dict[tuple[Any, ...], list[Charge]]:
    """The charges of each origin: a node pool at one price in one charge period."""
    found: defaultdict[tuple[Any, ...], list[Charge]] = defaultdict(list)
    for one in charges:
        found[one["ResourceId"], one["ChargePeriodStart"], one["ListUnitPrice"]].append(one)
    return dict(found)


_OF_PARTS = {"AllocatedMethodDetails", "AllocatedResourceId", "AllocatedResourceName", "AllocatedTags",
             "ChargeDescription", *SUMMED}  # fmt: skip


def _differing(charges: list[Charge]) -> list[Charge]:
    common = [column for column in (charges[0] if charges else ()) if column not in _OF_PARTS and column[:2] != "x_"]
    return [
        parts[0]
        for parts in origins(charges).values()
        if any(one[column] != parts[0][column] for one in parts for column in common)
    ]


def _ratios(charges: list[Charge]) -> list[Charge]:
    def ratio(one: Charge) -> Decimal:
        total: Decimal = sum((part["AllocatedRatio"] for part in one["AllocatedMethodDetails"]["Elements"]), Decimal())
        return total

    return [parts[0] for parts in origins(charges).values() if sum(map(ratio, parts)) != 1]


def _elements(charges: list[Charge]) -> list[Charge]:
    def right(part: dict[str, Any]) -> bool:
        known = {"AllocatedRatio", "UsageUnit", "UsageQuantity"}
        return {key for key in part if not re.fullmatch(r"x_[A-Z]\w*", key)} <= known and 0 <= part[
            "AllocatedRatio"
        ] <= 1

    return [
        one
        for one in charges
        if list(one["AllocatedMethodDetails"]) != ["Elements"]
        or not all(map(right, one["AllocatedMethodDetails"]["Elements"]))
    ]


def _parents(charges: list[Charge]) -> list[Charge]:
    parents: defaultdict[str, set[str]] = defaultdict(set)
    for one in charges:
        parents[one["SkuPriceId"]].add(one["SkuId"])
    return [one for one in charges if len(parents[one["SkuPriceId"]]) != 1]


def _order(charges: list[Charge]) -> list[Charge]:
    def mixed(one: Charge) -> bool:
        own = [column[:2] == "x_" for column in one]
        return own != sorted(own) or Counter(own)[True] == 0

    return [one for one in charges if mixed(one)]


OWN: dict[str, Rule] = {
    "CostAndUsage: one column of a name in every row": lambda charges: [
        one for one in charges if list(one) != list(charges[0])
    ],
    "ColumnHandling-A-001-M, -A-003-M": lambda charges: [
        one for one in charges if not all(_COLUMN.fullmatch(column) for column in one if column[:2] != "x_")
    ],
    "ColumnHandling-A-005-O": lambda charges: [one for one in charges if max(map(len, one)) > 50],
    "ColumnHandling-A-010-M": lambda charges: [
        one
        for one in charges
        if not all(column[:2] == "x_" for column in one if column not in MANDATORY | CONDITIONAL | RECOMMENDED)
    ],
    "ColumnHandling-A-012-O, -A-013-O": _order,
    "NullHandling-A-002-M": lambda charges: [
        one for one in charges if any(value == "" for column, value in one.items() if column[:2] != "x_")
    ],
    "BillingCurrency-C-003-M": lambda charges: [one for one in charges if one["BillingCurrency"] != "USD"],
    "BillingPeriod: calendar months": _months,
    "ChargePeriod: within its billing period": _outside,
    "ChargeClass-C-003-C": lambda charges: [one for one in charges if one["ChargeClass"] is not None],
    "ChargeCategory: savings are no usage, usage is never negative": lambda charges: [
        one
        for one in charges
        if one["ChargeCategory"] != "Usage" or one["BilledCost"] < 0 or one["PricingQuantity"] <= 0
    ],
    "ContractedUnitPrice-C-011-C, ContractedCost-C-009-C": _product("ContractedUnitPrice", "ContractedCost"),
    "ListUnitPrice-C-010-C, ListCost-C-009-C": _product("ListUnitPrice", "ListCost"),
    "ContractedUnitPrice-C-009-C, ListUnitPrice-C-008-M": lambda charges: [
        one for one in charges if one["ContractedUnitPrice"] < 0 or one["ListUnitPrice"] < 0
    ],
    "UnitFormat-A-001-M": lambda charges: [
        one for one in charges if {one["PricingUnit"], one["ConsumedUnit"]} != {"GPU-Hours"}
    ],
    "RegionName-C-004-C, -C-005-C": lambda charges: [
        one for one in charges if (one["RegionId"] is None) != (one["RegionName"] is None)
    ],
    "ResourceName-C-004-C": lambda charges: [one for one in charges if one["ResourceName"] is not None],
    "SkuPriceId-C-008-M": _parents,
    "SkuPriceDetails-C-017-C": lambda charges: [
        one
        for one in charges
        if not all(key == "GpuCount" or key.startswith("x_") for key in one["SkuPriceDetails"])
    ],
    "Tags-C-012-M": lambda charges: [
        one for one in charges if not all(key.startswith("gpuwise.dev/") for key in one["Tags"])
    ],
    "1.3 AllocatedTags: no tag of Tags": lambda charges: [
        one for one in charges if set(one["AllocatedTags"] or {}) & set(one["Tags"])
    ],
    "1.3 AllocatedTags: keys have the prefix of the data generator": lambda charges: [
        one for one in charges if not all(key.startswith("gpuwise.dev/") for key in one["AllocatedTags"] or {})
    ],
    "1.3 AllocatedResourceId: null for the unallocated part, not null for the allocated part": lambda charges: [
        one
        for one in charges
        if (one["AllocatedResourceId"] is None)
        != (one["x_gpuwise_class"] in ("outside", "unallocated", "stranded") or one["x_gpuwise_namespace"] is None)
    ],
    "1.3 AllocatedResourceName: null exactly if AllocatedResourceId is": lambda charges: [
        one for one in charges if (one["AllocatedResourceName"] is None) != (one["AllocatedResourceId"] is None)
    ],
    "1.3 AllocatedMethodDetails: an object of elements": _elements,
    "1.3 AllocatedMethodDetails: ratios of an origin sum to 1": _ratios,
    "1.3 Split Cost Allocation Handling: dimensions and unit prices are those of the origin": _differing,
}  # fmt: skip
