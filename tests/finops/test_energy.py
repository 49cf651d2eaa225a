"""Energy and carbon by any key sum to those of the fleet; what is not measured is missing, never zero."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuwise.finops.energy import Factors, energy
from gpuwise.model.cost import NOT_MEASURED, CostSum, GpuSeconds, Measures

REGIONS = (None, "eu-1", "us-1", "dark")
FACTORS = Factors(1.2, {"eu-1": 1.5}, {"eu-1": 0.1, "us-1": 0.4})
HOUR_S = 3_600.0
KWH_J = 3.6e6


@st.composite
def a_sum(draw) -> CostSum:
    hours = draw(st.floats(0.0, 1e4))
    measures = NOT_MEASURED
    if draw(st.booleans()):
        powered = hours * draw(st.floats(0.0, 1.0))
        measures = Measures(powered * HOUR_S, draw(st.floats(0.0, 700.0)) * powered * HOUR_S if powered else None)
    keys = (draw(st.sampled_from([None, "a", "b"])), draw(st.sampled_from(REGIONS)))
    return CostSum(keys, GpuSeconds(used=hours * HOUR_S), GpuSeconds(), measures=measures, nobody=draw(st.booleans()))


@given(st.lists(a_sum(), max_size=12))
def test_the_lines_sum_to_the_total_and_to_the_boards(sums):
    lines, total = energy(sums, ("team",), FACTORS)
    for name in ("gpu_h", "measured_gpu_h", "unknown_kwh"):
        assert sum(getattr(one, name) for one in lines) == pytest.approx(getattr(total, name))
    assert sum(one.kwh or 0.0 for one in lines) == pytest.approx(total.kwh or 0.0)
    assert sum(one.kg_co2e or 0.0 for one in lines) == pytest.approx(total.kg_co2e or 0.0)
    of_data_centre = sum((one.measures.energy_j or 0.0) / KWH_J * FACTORS.pue_of(one.keys[1]) for one in sums)
    assert (total.kwh or 0.0) == pytest.approx(of_data_centre)


@given(st.lists(a_sum(), min_size=1, max_size=12))
def test_what_is_not_measured_is_missing(sums):
    lines, _ = energy(sums, ("team",), FACTORS)
    for one in lines:
        assert one.measured_gpu_h <= one.gpu_h
        assert (one.kwh is None) == (one.measured_gpu_h == 0.0)
        assert one.kwh is not None or one.kg_co2e is None


def test_a_team_computed_step_by_step():
    """8 h at 300 W in a data centre with PUE 1.5: 3.6 kWh, at 0.1 kg: 0.36 kg. Of 10 h in another region, 5 h at 200 W:
    1.2 kWh at PUE 1.2, whose grid nobody knows."""

    def of(region: str, hours: float, powered: float, watts: float) -> CostSum:
        measures = Measures(powered_s=powered * HOUR_S, energy_j=watts * powered * HOUR_S)
        return CostSum(("ml", region), GpuSeconds(used=hours * HOUR_S), GpuSeconds(), measures=measures)

    [line], total = energy([of("eu-1", 8, 8, 300.0), of("dark", 10, 5, 200.0)], ("team",), FACTORS)
    assert (line.gpu_h, line.measured_gpu_h) == (18.0, 13.0)
    assert line.kwh == pytest.approx(3.6 + 1.2)
    assert (line.kg_co2e, line.unknown_kwh) == (pytest.approx(0.36), pytest.approx(1.2))
    assert (total.kwh, total.kg_co2e) == (line.kwh, line.kg_co2e)


def test_rows_of_before_have_no_energy():
    [line], _ = energy([CostSum(("ml", "eu-1"), GpuSeconds(used=HOUR_S), GpuSeconds())], ("team",), FACTORS)
    assert (line.kwh, line.kg_co2e, line.measured_gpu_h) == (None, None, 0.0)
