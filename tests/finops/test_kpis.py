"""KPIs: worked examples, and laws on random sums: shares are between 0 and 1, and what is not measured has a reason."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuwise.finops.kpis import kpis
from gpuwise.model.changes import ScaleTo
from gpuwise.model.cost import CLASSES, NOT_MEASURED, CostSum, GpuSeconds, Measures
from gpuwise.model.report import MeasuredSaving
from gpuwise.report.kpis import kpis_html, kpis_markdown

HOUR_S = 3_600.0
NAMES = (
    "effective utilisation",
    "idle share",
    "unallocated share",
    "allocation coverage",
    "commitment coverage",
    "realised over predicted",
)


def pods(team, capacity="on-demand", *, used=0.0, idle=0.0, usd=1.0, sm=None, known=0.0) -> CostSum:
    time = GpuSeconds(used=used * HOUR_S, idle=idle * HOUR_S)
    cost = GpuSeconds() if usd is None else GpuSeconds(used=used * usd, idle=idle * usd)
    measures = NOT_MEASURED if sm is None else Measures(sm_known_s=known * HOUR_S, sm_s=sm * known * HOUR_S)
    return CostSum((team, capacity), time, cost, time if usd is None else GpuSeconds(), measures=measures)


def free(hours: float, usd: float = 1.0) -> CostSum:
    time = GpuSeconds(unallocated=hours * HOUR_S)
    return CostSum((None, "on-demand"), time, GpuSeconds(unallocated=hours * usd), nobody=True)


def saving(saved, predicted) -> MeasuredSaving:
    return MeasuredSaving("a-1", "x/Deployment/y", ScaleTo(0), 0, 7, predicted, saved, None, None)


def values(sums, savings=()) -> dict[str, float | None]:
    found = kpis(sums, savings)
    assert tuple(one.name for one in found) == NAMES
    return {one.name: one.value for one in found}


def test_a_fleet_computed_step_by_step():
    """60 h used and 20 h idle of team ml, all measured at 0.5; 10 h of nobody's team on reserved nodes; 10 h free."""
    sums = [
        pods("ml", used=60.0, idle=20.0, sm=0.5, known=80.0),
        pods(None, "reserved", used=10.0, sm=1.0, known=10.0),
        free(10.0),
    ]
    assert values(sums, [saving(30.0, 40.0), saving(-10.0, 60.0), saving(None, 99.0)]) == {
        "effective utilisation": pytest.approx((0.5 * 80 + 10) / 100),
        "idle share": pytest.approx(0.2),
        "unallocated share": pytest.approx(0.1),
        "allocation coverage": pytest.approx(80 / 90),
        "commitment coverage": pytest.approx(10 / 90),
        "realised over predicted": pytest.approx(0.2),
    }


def test_without_a_price_shares_are_of_the_time():
    found = kpis([pods("ml", used=3.0, usd=None), pods("ml", idle=1.0, usd=100.0)], ())
    assert (found[1].value, found[1].basis) == (pytest.approx(0.25), "of the GPU time")


def test_what_is_not_measured_has_a_reason_and_no_value():
    found = kpis([], ())
    assert [one.value for one in found] == [None] * 6
    assert all(one.why_none for one in found)


@st.composite
def a_sum(draw) -> CostSum:
    nobody = draw(st.booleans())
    mine = ("outside", "unallocated", "unknown", "stranded") if nobody else ("used", "idle", "unknown")
    hours = {name: draw(st.floats(0, 100)) * HOUR_S for name in CLASSES if name in mine}
    time, price = GpuSeconds(**hours), draw(st.none() | st.floats(0.1, 9.0))
    usd = GpuSeconds() if price is None else GpuSeconds(**{name: s / HOUR_S * price for name, s in hours.items()})
    known = time.capacity * draw(st.floats(0, 1))
    measures = Measures(sm_known_s=known, sm_s=known * draw(st.floats(0, 1))) if draw(st.booleans()) else NOT_MEASURED
    keys = (draw(st.sampled_from([None, "a", "b"])), draw(st.sampled_from([None, "spot", "on-demand", "reserved"])))
    return CostSum(keys, time, usd, time if price is None else GpuSeconds(), nobody, measures)


@given(st.lists(a_sum(), max_size=8))
def test_shares_are_shares(sums):
    for one in kpis(sums, ())[:5]:
        assert (one.value is None) == bool(one.why_none)
        if one.value is not None:
            assert -1e-9 <= one.value <= 1.0 + 1e-9


def test_both_texts_have_each_kpi_and_its_reason():
    found = kpis([pods("ml", used=60.0, idle=20.0)], ())
    for text in (kpis_markdown(found, "<b>|KPIs", "1 day"), kpis_html(found, "<b>|KPIs", "1 day")):
        assert all(name in text for name in NAMES)
        assert "no SM activity in the history of these days" in text
        assert "<b>" not in text
        assert "none" in text


def test_the_return_on_gpuwise_needs_its_cost_and_a_measured_saving():
    savings = [saving(30.0, 40.0), saving(-10.0, None), saving(None, 99.0)]
    *_, found = kpis([], savings, tool_usd=40.0)
    assert (found.name, found.value) == ("return on gpuwise", 0.5)
    *_, none = kpis([], [saving(None, 99.0)], tool_usd=40.0)
    assert (none.name, none.value, none.why_none) == ("return on gpuwise", None, "no action has a measured saving")
