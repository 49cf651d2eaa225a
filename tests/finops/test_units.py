"""Unit economics: worked examples, and laws on random rows: cost is conserved, and what is not known has no number."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuwise.finops.settings import UnitValue
from gpuwise.finops.units import REQUEST, returns, unit_costs, unserved
from gpuwise.model.cost import NOBODY, CostRow, CostSum, GpuSeconds, Measures, Owner, Price

HOUR_S = 3_600.0
CHAT = Owner("apps", "Deployment/chat", project="assistant", model="llama", endpoint="chat", phase="inference")
TRAIN = Owner("ml", "Job/train", project="next", model="next-1", phase="training")


def row(owner=CHAT, *, used=6.0, idle=2.0, usd=3.0, day=0, unit=None, worth=None, **measured) -> CostRow:
    time = GpuSeconds(used=used * HOUR_S, idle=idle * HOUR_S)
    return CostRow(day * 86_400, owner, Price("T4", usd_per_gpu_h=usd), time, Measures(**measured), unit, worth)


def test_a_request_computed_step_by_step():
    """8 h at $3.00 for 12,000 requests: $0.002 each, $0.0015 without the 2 idle hours; 100 W for 8 h are 240 J each."""
    measured = {"powered_s": 8 * HOUR_S, "energy_j": 100.0 * 8 * HOUR_S}
    [line] = unit_costs([row(requests=12_000.0, worth=0.005, **measured)], ("project",))
    assert (line.keys, line.unit, line.amount) == (("assistant",), REQUEST, 12_000.0)
    assert (line.usd, line.idle_usd, line.gpu_h) == (24.0, 6.0, 8.0)
    assert (line.usd_per_unit, line.used_usd_per_unit) == (pytest.approx(0.002), pytest.approx(0.0015))
    assert (line.joules_per_unit, line.usd_per_gpu_h) == (pytest.approx(240.0), pytest.approx(3.0))
    assert (line.value_usd, line.return_usd) == (pytest.approx(60.0), pytest.approx(36.0))
    assert line.return_ratio == pytest.approx(2.5)


def test_a_step_has_the_counter_as_its_unit():
    [line] = unit_costs([row(TRAIN, work=4_000.0, unit="trainer_steps_total")], ("workload",))
    assert (line.unit, line.usd_per_unit) == ("trainer_steps_total", pytest.approx(24.0 / 4_000))


def test_a_day_without_known_units_is_a_line_of_its_own():
    """Its cost is not divided by the requests of the other day."""
    known, unknown = unit_costs([row(requests=100.0), row(day=1)], ("project",))
    assert (known.amount, known.usd_per_unit) == (100.0, pytest.approx(0.24))
    assert (unknown.unit, unknown.amount, unknown.usd_per_unit, unknown.usd) == (None, None, None, 24.0)


def test_no_requests_are_zero_units_and_no_cost_per_unit():
    [line] = unit_costs([row(requests=0.0)], ("project",))
    assert (line.unit, line.amount, line.usd_per_unit, line.usd) == (REQUEST, 0.0, None, 24.0)


def test_without_a_price_or_power_there_is_no_number():
    [line] = unit_costs([row(requests=100.0), row(requests=100.0, usd=None, day=1)], ("project",))
    assert (line.amount, line.usd, line.usd_per_unit, line.joules_per_unit) == (200.0, None, None, None)


def test_a_value_in_the_table_is_for_a_key_and_a_unit():
    values = [
        UnitValue("assistant", usd_per_unit=9.0, unit="tokens_total"),
        UnitValue("assistant", usd_per_unit=0.01),
    ]
    [line] = unit_costs([row(requests=12_000.0)], ("model",), values)
    assert line.value_usd == pytest.approx(120.0)
    [own] = unit_costs([row(requests=12_000.0, worth=0.005)], ("model",), values)
    assert own.value_usd == pytest.approx(60.0)


def test_a_value_of_a_part_of_the_units_is_no_return():
    """Of another workload of the team nobody knows what a request is worth."""
    [line] = unit_costs([row(requests=10.0, worth=0.5), row(TRAIN, requests=10.0)], ("phase",))[:1]
    assert line.value_usd == pytest.approx(5.0)
    [both] = unit_costs([row(requests=10.0, worth=0.5), row(TRAIN, requests=10.0)], ("gpu_type",))
    assert (both.value_usd, both.return_usd) == (None, None)


rows = st.lists(
    st.builds(
        row,
        st.sampled_from([CHAT, TRAIN, NOBODY]),
        used=st.floats(0, 24),
        idle=st.floats(0, 24),
        usd=st.none() | st.floats(0.1, 9),
        requests=st.none() | st.just(0.0) | st.floats(1e-3, 1e6),
    ),
    max_size=8,
)


@given(rows)
def test_the_lines_have_all_the_time_of_pods_once(costs):
    """Each row has one unit at most here, so it is on one line."""
    lines = unit_costs(costs, ("workload",))
    pods = [one for one in costs if one.owner != NOBODY]
    assert sum(one.gpu_h for one in lines) == pytest.approx(sum(one.time.capacity for one in pods) / HOUR_S)
    known = sum(one.measures.requests or 0.0 for one in pods)
    assert sum(one.amount or 0.0 for one in lines) == pytest.approx(known)
    for one in lines:
        if one.usd_per_unit is not None:
            assert one.usd_per_unit * one.amount == pytest.approx(one.usd)
            assert one.used_usd_per_unit <= one.usd_per_unit * (1 + 1e-9)


def a_sum(*keys, usd=10.0, requests=None, nobody=False) -> CostSum:
    time, cost = GpuSeconds(used=HOUR_S), GpuSeconds(used=usd)
    return CostSum(keys, time, cost, measures=Measures(requests=requests), nobody=nobody)


def test_a_month_that_is_worth_more_than_it_costs():
    value = UnitValue("assistant", usd_month=100.0)
    [found] = returns([(value, [a_sum("assistant", usd=20.0), a_sum("assistant", usd=5.0)])], 0.5)
    assert (found.usd, found.value_usd, found.return_usd, found.return_ratio) == (25.0, 50.0, 25.0, 2.0)


def test_models_that_never_served():
    """One has no endpoint, one an endpoint without a request; of another's endpoint nobody counts requests."""
    spent = [a_sum(name, usd=usd) for name, usd in (("a", 5.0), ("b", 7.0), ("c", 9.0), ("d", 11.0), (None, 13.0))]
    ever = [
        a_sum(0, "a", None),
        a_sum(0, "b", None),
        a_sum(0, "b", "chat", requests=0.0),
        a_sum(0, "c", "bot"),
        a_sum(1, "c", "bot", requests=0.0),
        a_sum(0, "d", None),
        a_sum(0, "d", "old", requests=3.0),
    ]
    assert [(one.model, one.usd) for one in unserved(spent, ever)] == [("b", 7.0), ("a", 5.0)]


def test_spend_without_a_price_is_no_spend_of_0():
    unpriced = CostSum(("e",), GpuSeconds(used=HOUR_S), GpuSeconds(), GpuSeconds(used=HOUR_S))
    assert unserved([unpriced], [])[0].usd is None
    [found] = returns([(UnitValue("e", usd_month=100.0), [unpriced])], 0.5)
    assert (found.usd, found.return_usd, found.return_ratio) == (None, None, None)
    [none] = returns([(UnitValue("nothing", usd_month=100.0), [])], 0.5)
    assert (none.usd, none.return_usd) == (None, None)
