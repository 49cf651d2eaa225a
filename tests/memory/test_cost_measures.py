"""What is measured of cost: kept and summed, and not measured where a row does not have it."""

from contextlib import closing

from gpuwise.model.cost import NOBODY, NOT_MEASURED, CostDay, CostRow, GpuSeconds, Measures, Owner, Price
from gpuwise.model.usage import DAY_S

MEASURES = Measures(3_600.0, 1.5e6, 7_000.0, 3_500.0, 7_200.0, 3_600.0, -900.0, 1_234.5, 67.25)
OWNER, PRICE = Owner("apps", "Job/train", team="ml"), Price("T4", usd_per_gpu_h=0.5)
TIME = GpuSeconds(used=7_200.0)
WHOLE = CostRow(0, OWNER, PRICE, TIME, MEASURES, "steps_total", 0.25)


def day(number: int) -> CostDay:
    return CostDay(number * DAY_S, number * DAY_S, number * DAY_S + DAY_S, closed=True)


def test_what_is_measured_is_kept(place):
    nobody = CostRow(0, NOBODY, PRICE, GpuSeconds(unallocated=10.0), Measures(powered_s=5.0, energy_j=1.0))
    with closing(place.open()) as ledger:
        ledger.costs().record([day(0)], [WHOLE, nobody])
    with closing(place.open()) as ledger:
        assert sorted(ledger.costs().rows(0, DAY_S), key=str) == sorted([WHOLE, nobody], key=str)


def test_sums_are_of_what_is_known_and_units_of_work_are_no_sum(place):
    plain = CostRow(DAY_S, OWNER, PRICE, TIME)
    with closing(place.open()) as ledger:
        ledger.costs().record([day(0), day(1)], [WHOLE, plain])
        [both] = ledger.costs().sums(("team",), 0, 2 * DAY_S)
        [unknown] = ledger.costs().sums(("team",), DAY_S, 2 * DAY_S)
    assert both.measures == MEASURES._replace(work=None)
    assert unknown.measures == NOT_MEASURED


def test_what_a_row_does_not_have_is_not_measured(place):
    """NULL is no energy of 0."""
    with closing(place.open()):
        pass
    columns = "cluster, day_s, nobody, key_namespace, used_s, idle_s, outside_s, unallocated_s, unknown_s, stranded_s"
    no = "0" if place.path is not None else "false"
    place.change(
        f"INSERT INTO costs ({columns}) VALUES ('', 0, {no}, 'apps', 60.0, 0.0, 0.0, 0.0, 0.0, 0.0)",
        f"INSERT INTO cost_days VALUES ('', 0, 0, {DAY_S}, {'1' if place.path is not None else 'true'})",
    )
    with closing(place.open()) as ledger:
        [row] = ledger.costs().rows(0, DAY_S)
        [found] = ledger.costs().sums(("namespace",), 0, DAY_S)
        ledger.costs().record([day(1)], [CostRow(DAY_S, OWNER, PRICE, TIME, MEASURES, "steps_total")])
        assert len(list(ledger.costs().rows(0, 2 * DAY_S))) == 2
    assert (row.measures, row.work_unit, row.unit_usd) == (NOT_MEASURED, None, None)
    assert (found.time.used, found.measures) == (60.0, NOT_MEASURED)
