"""The plan by class of waste: every dollar in one class, with its owners."""

from dataclasses import replace

import pytest
from tests.fleet import workload
from tests.recommend.test_selection import worth

from gpuwise.finops.waste import _OF_FINDING, waste_of
from gpuwise.model.findings import Finding
from gpuwise.model.inventory import WorkloadClass
from gpuwise.model.report import WasteClass

SAVES_NOTHING = {Finding.OUTSIDE_DATA_REGION, Finding.POD_PENDING}


def found(number: int, finding: Finding, usd: float, owner: str | None = None):
    return replace(worth(number, usd, ()), finding=finding, owner=owner)


def test_each_finding_that_saves_something_has_a_class():
    assert set(Finding) - SAVES_NOTHING == set(_OF_FINDING)


def test_the_classes_sum_to_the_plan_the_most_expensive_first_with_its_owners():
    plan = [
        found(0, Finding.GPU_OVERPROVISIONED, 10.0, "a"),
        found(1, Finding.GPU_SHAREABLE, 30.0, "b"),
        found(2, Finding.INTERRUPTIBLE_ON_DEMAND, 70.0),
        found(3, Finding.POD_PENDING, 0.0, "c"),
    ]
    spot, large = waste_of(plan, {})
    assert (spot.kind, spot.usd_month, spot.owners) == (WasteClass.FULL_PRICE, 70.0, ((None, 70.0),))
    assert (large.kind, large.count, large.owners) == (WasteClass.OVERSIZED, 2, (("b", 30.0), ("a", 10.0)))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [(WorkloadClass.ENDPOINT, WasteClass.UNCALLED), (WorkloadClass.NOTEBOOK, WasteClass.FORGOTTEN)],
)
def test_an_idle_endpoint_is_one_that_nobody_calls(kind, expected):
    item = found(0, Finding.IDLE, 10.0)
    [waste] = waste_of([item], {item.workload: workload(item.workload, workload_class=kind)})
    assert waste.kind is expected
