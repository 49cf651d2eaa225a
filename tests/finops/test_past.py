"""Nodes that no longer exist keep their card, MIG layout, capacity type and price."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.finops.recorded import PRICES, WEEK_H, Fleet
from tests.finops.test_capacity import hours

from gpuwise.finops.past import REMEMBERED_S, past_nodes, remembered
from gpuwise.model.gpu import named
from gpuwise.model.inventory import CapacityType, Inventory, Node, SeenNode
from gpuwise.model.price import PriceBook

NOW_S = 1_800_000_000
BOOK = PriceBook({("A100-80GB", CapacityType.SPOT): 1.0}, "test prices")
SPOT = Node("s1", named("A100-80GB"), "A100", 4, {}, CapacityType.SPOT, None, whole_gpus=4, created_s=NOW_S - 9_000)


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    made = Fleet(tmp_path)
    made.namespace("red", team="red")
    made.node("a1")
    made.deployment("w")
    made.pod("w-5d4f8c7b9-zzzzz", "a1", hours=(0, WEEK_H), owner="w")
    return made


def seen_until_thursday(fleet: Fleet, ledger: Path, *, prices: str = PRICES) -> None:
    """A pass at hour 72 sees the nodes that the fleet has now."""
    fleet.report(hours=72, ledger=ledger, run=True, prices=prices)


@pytest.mark.parametrize("later", [PRICES.replace("spot,1", "spot,3"), PRICES.replace("A100-80GB,spot,1\n", "")])
def test_a_node_that_is_gone_keeps_the_price_that_it_had(fleet, tmp_path, later):
    """72 h on a spot GPU at $1: the price file later says $3, or has no spot price."""
    ledger = tmp_path / "ledger.db"
    fleet.pod("w-5d4f8c7b9-zz222", "s1", hours=(0, 72), device="GPU-2")
    before = list(fleet.objects)
    fleet.node("s1", capacity="spot")
    seen_until_thursday(fleet, ledger)
    fleet.objects = before
    bill = fleet.report(ledger=ledger, prices=later).bill
    assert bill.used_usd == pytest.approx(168 * 4 + 72)
    assert bill.unpriced_gpu_s == 0


def test_a_node_without_a_price_when_it_was_seen_has_the_price_of_now(fleet, tmp_path):
    ledger = tmp_path / "ledger.db"
    before = list(fleet.objects)
    fleet.node("s1", capacity="spot")
    seen_until_thursday(fleet, ledger, prices=PRICES.replace("A100-80GB,spot,1\n", ""))
    fleet.objects = before
    assert fleet.report(ledger=ledger).bill.unallocated_usd == pytest.approx(72)


def test_a_node_that_is_gone_keeps_its_mig_layout(fleet, tmp_path):
    """m1 had one 3g.40gb, half of its card, until hour 72: 36 h used, 36 h stranded."""
    ledger = tmp_path / "ledger.db"
    resource = "nvidia.com/mig-3g.40gb"
    fleet.deployment("s", resource=resource)
    fleet.pod("s-5d4f8c7b9-zz222", "m1", hours=(0, 72), device="MIG-1", share=3 / 7, resource=resource)
    before = list(fleet.objects)
    fleet.node("m1", mig={"3g.40gb": 1})
    seen_until_thursday(fleet, ledger)
    fleet.objects = before
    assert hours(fleet.report(ledger=ledger).bill) == pytest.approx({"used": 168 + 36, "stranded": 36})


def test_a_name_that_was_given_again_has_the_price_of_each_life(fleet, tmp_path):
    """s1 was a spot node until hour 72 and is an on-demand node since hour 96."""
    ledger = tmp_path / "ledger.db"
    before = list(fleet.objects)
    fleet.node("s1", capacity="spot", created_h=-100)
    seen_until_thursday(fleet, ledger)
    fleet.objects = before
    fleet.node("s1", created_h=96)
    bill = fleet.report(ledger=ledger).bill
    assert hours(bill) == {"used": 168, "unallocated": 72 + 72}
    assert bill.unallocated_usd == pytest.approx(72 * 1 + 72 * 4)


def test_what_is_remembered_is_what_the_bill_needs():
    fleet = Inventory(NOW_S, {"s1": replace(SPOT, gpu_fraction=0.5, mig={"1g.10gb": 2}, whole_gpus=3)}, (), {})
    [seen] = remembered([], fleet, BOOK)
    assert seen == SeenNode(
        "s1", "A100-80GB", 4, CapacityType.SPOT, NOW_S - 9_000, NOW_S, 0.5, {"1g.10gb": 2}, 3, 1.0
    )  # fmt: skip
    [past] = past_nodes([seen], Inventory(NOW_S, {}, (), {}))
    assert (past.mig, past.whole_gpus, past.capacity, past.gone_s) == ({"1g.10gb": 2}, 3, 2.0, NOW_S)
    assert past.usd_per_gpu_h == 1.0
    assert past_nodes([seen], fleet) == ()


def test_a_node_that_is_gone_is_forgotten_after_100_days():
    [seen] = remembered([], Inventory(NOW_S, {"s1": SPOT}, (), {}), BOOK)
    later = Inventory(NOW_S + REMEMBERED_S - 1, {}, (), {})
    assert remembered([seen], later, BOOK) == (seen,)
    assert remembered([seen], replace(later, taken_s=NOW_S + REMEMBERED_S), BOOK) == ()


def test_a_node_of_the_metrics_is_remembered_once_with_its_first_price():
    gone = replace(SPOT, gone_s=NOW_S - 3_000)
    empty = Inventory(NOW_S, {}, (), {})
    first = remembered([], empty, BOOK, [gone])
    assert [one.usd_per_gpu_h for one in first] == [1.0]
    other = PriceBook({("A100-80GB", CapacityType.SPOT): 9.0}, "later")
    assert remembered(first, empty, other, [gone]) == first
    assert len(past_nodes(first, empty, [gone])) == 1
    assert remembered([], empty, BOOK, [replace(gone, created_s=None)]) == ()


@pytest.mark.parametrize(
    ("present", "measured", "counted"),
    [
        (NOW_S - 2_000, (NOW_S - 9_000, NOW_S - 3_000), 1),  # an earlier node of the same name
        (NOW_S - 9_000, (NOW_S - 9_000, NOW_S - 3_000), 0),  # the present node, which kube-state-metrics lost
        (None, (NOW_S - 9_000, NOW_S - 3_000), 0),
        (NOW_S - 5_000, (None, NOW_S - 3_000), 0),
    ],
)
def test_two_nodes_never_have_a_name_at_the_same_time(present, measured, counted):
    fleet = Inventory(NOW_S, {"s1": replace(SPOT, created_s=present)}, (), {})
    created_s, gone_s = measured
    found = past_nodes([], fleet, [replace(SPOT, created_s=created_s, gone_s=gone_s)])
    assert len(found) == counted


def test_two_nodes_of_a_name_are_two_although_metrics_end_later_than_the_first():
    """kube-state-metrics shows the first node to 5 minutes; the second was created within them."""
    second = replace(SPOT, created_s=NOW_S - 3_600)
    first = replace(SPOT, gone_s=NOW_S - 3_500)
    assert past_nodes((), Inventory(NOW_S, {"s1": second}, (), {}), [first]) == (first,)


def test_a_node_has_the_price_of_its_zone_and_keeps_it_when_it_is_gone(fleet, tmp_path):
    """$1 everywhere else, $2 in eu-1b; 72 h on a spot GPU there."""
    ledger = tmp_path / "ledger.db"
    by_zone = PRICES.replace("usd_per_gpu_h\n", "usd_per_gpu_h,zone\n") + "A100-80GB,spot,2,eu-1b\n"
    before = list(fleet.objects)
    fleet.node("s1", capacity="spot")
    fleet.objects[-1]["metadata"]["labels"]["topology.kubernetes.io/zone"] = "eu-1b"
    now = fleet.report(hours=72, ledger=ledger, run=True, prices=by_zone)
    assert now.bill.unallocated_usd == pytest.approx(72 * 2)
    fleet.objects = before
    assert fleet.report(ledger=ledger, prices=PRICES).bill.unallocated_usd == pytest.approx(72 * 2)


def test_region_and_zone_of_a_node_are_remembered():
    node = replace(SPOT, region="eu-1", zone="eu-1b")
    seen = remembered([], Inventory(NOW_S, {"s1": node}, (), {}), BOOK)
    (past,) = past_nodes(seen, Inventory(NOW_S + 60, {}, (), {}))
    assert (past.region, past.zone) == ("eu-1", "eu-1b")
