"""Commitments: break-even, coverage and utilisation, by the history of a pool."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuwise.finops.commitments import TERM_DAYS, Offer, commitments, whole_days
from gpuwise.model.cost import NOBODY, CostRow, GpuSeconds, Owner, Price
from gpuwise.model.inventory import CapacityType

DAY_S = 86_400
POOL = ("H100-80GB", "us-east-1")
H100 = Price("H100-80GB", CapacityType.ON_DEMAND, "us-east-1", None, 6.0)
OWNER = Owner("apps", "Deployment/chat")
YEAR = Offer(1, 6.0, 3.0)


def on_day(day, hours, *, price=H100, owner=OWNER, idle=0.0):
    return CostRow(day * DAY_S, owner, price, GpuSeconds(used=(hours - idle) * 3600, idle=idle * 3600))


def days(count):
    return [day * DAY_S for day in range(count)]


def found(costs, count, offers=(YEAR,)):
    return commitments(costs, {POOL: offers}, days(count))


def test_sixteen_gpus_of_21_hours_a_day_pay_from_a_day_that_a_person_can_compute():
    # 16 x 21 h x 6.00 = 2,016 a day on demand. The year: 16 x 24 x 365 x 3.00 = 420,480. 420,480 / 2,016 = 208.57.
    costs = [on_day(day, 16 * 21.0, idle=5.0) for day in range(90)]
    costs += [CostRow(day * DAY_S, NOBODY, H100, GpuSeconds(unallocated=16 * 3 * 3600.0)) for day in range(90)]
    (one,) = found(costs, 90)
    assert (one.gpus, one.days, one.break_even_day) == (16, 90, 209)
    assert one.hours_a_day == pytest.approx(21.0)
    assert one.utilisation == pytest.approx(21 / 24)
    assert one.coverage == pytest.approx(1.0)
    assert one.usd_year == pytest.approx((2_016 - 16 * 24 * 3) * 365)


def test_gpus_that_are_allocated_too_few_hours_a_day_commit_nothing():
    costs = [on_day(day, 16 * 11.0) for day in range(90)]
    costs += [CostRow(day * DAY_S, NOBODY, H100, GpuSeconds(unallocated=16 * 13 * 3600.0)) for day in range(90)]
    assert found(costs, 90)[0].gpus == 0


def test_gpus_that_run_together_on_some_days_are_covered_as_far_as_it_pays():
    # One GPU always, a second one on 60 of 90 days (67 %, above the break-even of 50 %), a third one on 30 (33 %).
    costs = [on_day(day, 24.0 + 24.0 * (day < 60) + 24.0 * (day < 30)) for day in range(90)]
    (one,) = found(costs, 90)
    assert one.gpus == 2
    assert one.utilisation == pytest.approx((90 + 60) / 180)
    assert one.coverage == pytest.approx((90 + 60) / (90 + 60 + 30))
    # (90 + 60) x 24 / 90 = 40 h a day x 6.00 = 240; the year costs 2 x 24 x 365 x 3 = 52,560; 52,560 / 240 = 219.
    assert one.break_even_day == 219
    assert one.usd_year == pytest.approx((240 - 144) * 365)


def test_a_day_without_rows_is_a_day_without_use_and_a_day_in_part_is_none():
    (one,) = found([on_day(0, 24.0)], 4)
    assert (one.gpus, one.usd_year, one.break_even_day, one.utilisation) == (0, None, None, None)
    assert whole_days([(0, 0, DAY_S), (DAY_S, DAY_S, DAY_S + 3600), (2 * DAY_S, 2 * DAY_S + 60, 3 * DAY_S)]) == [0]


def test_only_allocated_time_on_demand_is_committed():
    spot, reserved = (H100._replace(capacity_type=kind) for kind in (CapacityType.SPOT, CapacityType.RESERVED))
    free = CostRow(0, NOBODY, H100, GpuSeconds(unallocated=8 * 3600.0, outside=8 * 3600.0, unknown=8 * 3600.0))
    empty = CostRow(0, NOBODY, reserved, GpuSeconds(unallocated=36 * 3600.0))
    (one,) = found([on_day(0, 36.0), on_day(0, 24.0, price=spot), on_day(0, 12.0, price=reserved), free, empty], 1)
    # 36 of 60 h: each of 2.5 GPUs has 14.4 h, of which two are whole; the half has 7.2 h, less than 12.
    assert (one.gpus, one.hours_a_day) == (2, pytest.approx(14.4))
    assert one.reserved_utilisation == pytest.approx(12 / 48)
    assert one.reserved_coverage == pytest.approx(12 / 48)


def test_a_node_without_a_label_is_on_demand_and_a_pool_without_an_offer_is_left_out():
    unlabelled, elsewhere = H100._replace(capacity_type=None), H100._replace(region="eu")
    assert found([on_day(0, 24.0, price=unlabelled)], 1)[0].gpus == 1
    assert found([on_day(0, 24.0, price=elsewhere)], 1) == []
    assert found([on_day(0, 24.0)], 0) == []


def test_the_largest_saving_comes_first():
    both = found([on_day(0, 24.0)], 1, (Offer(1, 6.0, 5.0), Offer(3, 6.0, 2.0)))
    assert [one.years for one in both] == [3, 1]


HOURS = st.just(0.0) | st.floats(0.01, 500)


@given(
    st.lists(st.tuples(HOURS, HOURS), min_size=1, max_size=40),
    st.floats(0.1, 50),
    st.floats(0.0, 0.99),
    st.sampled_from(sorted(TERM_DAYS)),
)
def test_no_other_number_of_gpus_saves_more_and_break_even_is_within_the_term(given_days, on_demand, share, years):
    offer = Offer(years, on_demand, on_demand * share)
    costs = [on_day(day, hours) for day, (hours, _) in enumerate(given_days)]
    costs += [CostRow(at * DAY_S, NOBODY, H100, GpuSeconds(stranded=h * 3600)) for at, (_, h) in enumerate(given_days)]
    (one,) = found(costs, len(given_days), (offer,))

    def saved(gpus):
        total = -24 * gpus * offer.committed * len(given_days)
        for hours, free in given_days:
            count = (hours + free) / 24
            total += min(gpus, count) * hours / count * on_demand if hours else 0.0
        return total

    best = saved(one.gpus)
    assert all(saved(gpus) <= best + 1e-6 * (1 + abs(best)) for gpus in (one.gpus - 1, one.gpus + 1, 0) if gpus >= 0)
    if one.gpus:
        assert one.usd_year >= -1e-6
        assert 0 <= one.utilisation <= 1 + 1e-9
        assert 0 < one.coverage <= 1 + 1e-9
        assert one.break_even_day <= TERM_DAYS[years]
