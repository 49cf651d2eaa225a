"""The FOCUS export: rules of the specification, and sums that are those of the bill to the last digit."""

import io
from collections import defaultdict
from dataclasses import replace
from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.finops.focus_rules import MANDATORY, origins, read, rules
from tests.finops.test_daily import known
from tests.finops.test_report import MONDAY, node, used, week, weeks, workload

from gpuwise.cli.focus_files import write_json
from gpuwise.finops import bill, daily_costs, days_of
from gpuwise.finops.focus import COLUMNS, PRICE_DIGITS, QUANTITY_DIGITS, Account, focus_rows, rounded, unpriced
from gpuwise.model.cost import CLASSES, NOBODY, CostDay, CostRow, GpuSeconds, Owner, Price
from gpuwise.model.inventory import CapacityType

ACCOUNT = Account("uid-1", "prod", "payer", "Example Cloud", {"eu-west-1": "Another Cloud"})
H100 = Price("H100-80GB", CapacityType.ON_DEMAND, "us-east-1", "us-east-1a", 6.88)
RULES = dict(rules())


def exported(costs, days=(), account=ACCOUNT):
    """The charges as they are read from the JSON form."""
    text = io.StringIO()
    write_json(focus_rows(costs, days, account), text)
    return read(text.getvalue())


def small():
    """A cluster with used, idle, unallocated and unmeasured time, two prices, and an owner without a team."""
    chat, train = workload("chat", ("h0",), team="red"), workload("train", ("s0",))
    nodes = [node("h0", "H100-80GB"), node("s0", "H100-80GB", CapacityType.SPOT), node("x", None)]
    pairs = [(chat, used(chat.ref, [(20, 3.3)] * 5)), (train, used(train.ref, [(7.123, 1)] * 7, nodes=("s0",)))]
    one = week(nodes, pairs)
    return daily_costs(one), days_of(one)


@pytest.mark.parametrize("name", RULES)
def test_a_small_export_keeps_each_rule_of_the_specification(name):
    charges = exported(*small())
    assert charges
    assert RULES[name](charges) == []


@settings(max_examples=20)
@given(weeks())
def test_the_export_of_a_random_fleet_keeps_every_rule(one):
    one = replace(one, selection=None)
    charges = exported(daily_costs(one), days_of(one))
    assert {name: broken for name, rule in RULES.items() if (broken := rule(charges))} == {}


@pytest.mark.parametrize(
    ("name", "column", "value"),
    [
        ("BilledCost-C-003-M", "BilledCost", None),
        ("ListUnitPrice-C-010-C, ListCost-C-009-C", "ListCost", Decimal("0.01")),
        ("1.3 AllocatedMethodDetails: ratios of an origin sum to 1", "AllocatedMethodDetails",
         {"Elements": [{"AllocatedRatio": Decimal(2)}]}),
        ("1.3 Split Cost Allocation Handling: dimensions and unit prices are those of the origin", "SubAccountId", "x"),
        ("1.3 AllocatedResourceName: null exactly if AllocatedResourceId is", "AllocatedResourceName", None),
        ("DateTimeFormat-A-003-M of ChargePeriodEnd", "ChargePeriodEnd", "2026-11-17 00:00"),
        ("ChargeCategory: savings are no usage, usage is never negative", "BilledCost", Decimal(-1)),
        ("NullHandling-A-002-M", "AvailabilityZone", ""),
    ],
)  # fmt: skip
def test_a_rule_finds_a_charge_that_breaks_it(name, column, value):
    charges = exported(*small())
    charges[0][column] = value
    assert RULES[name](charges)


def test_every_mandatory_column_is_found_missing():
    for column, name in MANDATORY.items():
        charges = exported(*small())
        del charges[0][column]
        assert RULES[name](charges)


@settings(max_examples=20)
@given(weeks())
def test_the_charges_sum_to_the_bill_and_those_of_an_origin_to_the_origin(one):
    one = known(one)
    costs, whole = daily_costs(one), bill(one)
    charges = exported(costs, days_of(one))
    for name in CLASSES:
        total = sum((row["BilledCost"] for row in charges if row["x_gpuwise_class"] == name), Decimal())
        assert abs(float(total) - getattr(whole, f"{name}_usd")) < 0.005
    assert sum(unpriced(costs).values()) * 3600 == pytest.approx(whole.unpriced_gpu_s)
    of_day = defaultdict(Fraction)
    for row in costs:
        if row.price.usd_per_gpu_h is not None:
            of_day[row.day_s, row.price] += Fraction(sum(map(Fraction, time_of(row)), Fraction())) / 3600
    with localcontext(prec=60):
        expected = sorted(
            (round_half_even(hours), round_half_even(hours) * unit_price(price)) for (_, price), hours in of_day.items()
        )
        found = sorted(
            (sum(row["PricingQuantity"] for row in parts), sum(row["BilledCost"] for row in parts))
            for parts in origins(charges).values()
        )
    assert found == [one for one in expected if one[0]]


def time_of(row):
    return [getattr(row.time, name) for name in CLASSES]


def round_half_even(hours):
    return Decimal(round(hours * 10**QUANTITY_DIGITS)).scaleb(-QUANTITY_DIGITS)


def unit_price(price):
    return Decimal(price.usd_per_gpu_h).quantize(Decimal(1).scaleb(-PRICE_DIGITS))


@given(st.lists(st.fractions(min_value=0, max_value=10_000), max_size=30), st.integers(0, 9))
def test_rounded_parts_sum_to_the_rounded_sum_and_none_is_a_whole_digit_off(parts, digits):
    found = rounded(parts, digits)
    step = Decimal(1).scaleb(-digits)
    assert sum(found, Decimal()) == Decimal(round(sum(parts, Fraction()) * 10**digits)).scaleb(-digits)
    assert all(abs(Fraction(one) - part) < Fraction(step) for one, part in zip(found, parts, strict=True))


def test_a_day_that_a_person_can_compute():
    # 8 H100 at 6.88 for a day: 20 h of chat of which 5 idle, 172 h of nobody; 192 x 6.88 = 1,320.96.
    owner = Owner("apps", "Deployment/chat", team="red", phase="inference")
    costs = [
        CostRow(MONDAY, owner, H100, GpuSeconds(used=15 * 3600, idle=5 * 3600)),
        CostRow(MONDAY, NOBODY, H100, GpuSeconds(unallocated=172 * 3600)),
    ]
    charges = exported(costs, [CostDay(MONDAY, MONDAY, MONDAY + 86_400, closed=True)])
    assert [(row["x_gpuwise_class"], row["PricingQuantity"], row["BilledCost"]) for row in charges] == [
        ("used", 15, Decimal("103.2")),
        ("idle", 5, Decimal("34.4")),
        ("unallocated", 172, Decimal("1183.36")),
    ]
    first, _, last = charges
    assert first["AllocatedResourceId"] == "apps/Deployment/chat"
    assert first["AllocatedTags"]["gpuwise.dev/team"] == first["x_gpuwise_team"] == "red"
    assert (last["AllocatedResourceId"], last["AllocatedTags"], last["x_gpuwise_team"]) == (None, None, None)
    assert (first["ChargePeriodStart"], first["ChargePeriodEnd"]) == ("2026-11-16T00:00:00Z", "2026-11-17T00:00:00Z")
    assert (first["BillingPeriodStart"], first["BillingPeriodEnd"]) == ("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z")
    assert (first["RegionId"], first["AvailabilityZone"], first["x_gpuwise_final"]) == ("us-east-1", "us-east-1a", True)
    assert list(first) == list(COLUMNS)


def test_a_day_that_was_measured_in_part_has_that_part_as_charge_period():
    costs = [CostRow(MONDAY, NOBODY, H100, GpuSeconds(unallocated=3600))]
    (charge,) = exported(costs, [CostDay(MONDAY, MONDAY + 7200, MONDAY + 10_800, closed=False)])
    assert (charge["ChargePeriodStart"], charge["ChargePeriodEnd"]) == ("2026-11-16T02:00:00Z", "2026-11-16T03:00:00Z")
    assert charge["x_gpuwise_final"] is False


def test_time_without_a_price_is_no_charge_of_zero_and_a_price_of_zero_is_one():
    free, none = H100._replace(usd_per_gpu_h=0.0), H100._replace(usd_per_gpu_h=None)
    costs = [CostRow(MONDAY, NOBODY, price, GpuSeconds(unallocated=7200)) for price in (free, none)]
    charges = exported(costs)
    assert [row["BilledCost"] for row in charges] == [0]
    assert unpriced(costs) == {"H100-80GB": 2.0}


def test_two_prices_of_one_pool_in_one_day_are_two_origins():
    higher = H100._replace(usd_per_gpu_h=7.0)
    costs = [CostRow(MONDAY, NOBODY, price, GpuSeconds(unallocated=3600)) for price in (H100, higher)]
    charges = exported(costs)
    assert {row["ResourceId"] for row in charges} == {"uid-1/H100-80GB/on-demand/us-east-1/us-east-1a"}
    assert [row["AllocatedMethodDetails"]["Elements"][0]["AllocatedRatio"] for row in charges] == [1, 1]


def test_how_a_price_came_about_is_its_pricing_category_and_the_region_names_the_provider():
    kinds = [CapacityType.ON_DEMAND, CapacityType.SPOT, CapacityType.RESERVED, None]
    prices = [H100._replace(capacity_type=kind, region="eu-west-1") for kind in kinds]
    charges = exported([CostRow(MONDAY, NOBODY, price, GpuSeconds(unallocated=3600)) for price in prices])
    assert [row["PricingCategory"] for row in charges] == ["Standard", "Dynamic", "Committed", "Standard"]
    assert {row["ServiceProviderName"] for row in charges} == {"Another Cloud"}
