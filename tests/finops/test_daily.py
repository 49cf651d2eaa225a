"""The rows of the cost history sum to the bill, by any key."""

from dataclasses import replace

import pytest
from hypothesis import given
from tests.finops.test_report import NOW_S, node, used, week, weeks, workload

from gpuwise.finops import Tags, bill, daily_costs, days_of
from gpuwise.finops.owners import owner_of
from gpuwise.memory.ledger import SqliteLedger
from gpuwise.model.cost import CLASSES, KEYS, NOBODY
from gpuwise.model.inventory import Namespace, deleted_ref
from gpuwise.model.usage import DAY_S


def close(value):
    return pytest.approx(value, rel=1e-9, abs=1e-3)


@given(weeks())
def test_the_rows_of_a_period_sum_to_its_bill_class_by_class(one):
    one = replace(one, selection=None)
    rows, whole = daily_costs(one, Tags()), bill(one)
    for name in CLASSES:
        assert sum(getattr(row.time, name) for row in rows) == close(getattr(whole, f"{name}_gpu_s"))
        priced = ((getattr(row.time, name), row.price.usd_per_gpu_h) for row in rows)
        assert sum(time / 3600 * usd for time, usd in priced if usd is not None) == close(getattr(whole, f"{name}_usd"))
    unpriced = sum(row.time.capacity for row in rows if row.price.usd_per_gpu_h is None)
    assert unpriced == close(whole.unpriced_gpu_s)
    assert {row.day_s for row in rows} <= {day.day_s for day in days_of(one)}


@given(weeks())
def test_the_sums_by_any_key_are_those_of_the_rows(one):
    one = replace(one, selection=None)
    rows = daily_costs(one, Tags())
    with SqliteLedger.in_memory() as ledger:
        history = ledger.costs()
        history.record(days_of(one), rows)
        for by in ((), ("team",), ("day", "namespace", "phase"), KEYS):
            sums = list(history.sums(by, one.start_s, one.end_s))
            for name in CLASSES:
                assert sum(getattr(found.time, name) for found in sums) == close(
                    sum(getattr(row.time, name) for row in rows)
                )
            usd = sum(row.time.capacity / 3600 * (row.price.usd_per_gpu_h or 0.0) for row in rows)
            assert sum(found.usd.capacity for found in sums) == close(usd)
        assert sorted(history.rows(one.start_s, one.end_s), key=str) == sorted(rows, key=str)
