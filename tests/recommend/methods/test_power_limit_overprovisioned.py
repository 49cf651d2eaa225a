"""PowerLimitOverprovisioned: a lower power limit."""

from dataclasses import replace

import pytest
from tests.cases import WEEK, at_level, reason, training
from tests.cases import mixed_fleet_case as case
from tests.series import DAY_STEPS, device

from gpuwise.model.changes import CapPower
from gpuwise.model.reasons import Reason
from gpuwise.recommend.engines.power_limit_overprovisioned import search
from gpuwise.recommend.methods.power_limit_overprovisioned import TOO_SLOW, cap_power


def test_a_steady_draw_is_capped_at_a_slowdown_of_five_percent():
    """0.9 times the draw of 330 W, in steps of 5 W."""
    found = cap_power(case(at_level(sm=0.8, watts=330.0), training(), usd_per_kwh=0.2))
    assert found.change == CapPower(300.0)
    saved_kwh = 730 * (330 - 300 - 0.05 * 300) / 1e3
    assert found.saving.kwh_month == pytest.approx(saved_kwh, rel=0.1)
    assert found.saving.usd_month == pytest.approx(0.2 * found.saving.kwh_month)
    assert found.saving.kg_co2e_month == pytest.approx(0.3 * found.saving.kwh_month)
    assert not found.restart_needed


def test_the_advice_says_that_it_is_a_guess_and_what_is_not_read():
    found = cap_power(case(at_level(sm=0.8, watts=330.0), training(), usd_per_kwh=0.2))
    [guess] = [one for one in found.evidence if one.statistic == "backtest"]
    assert guess.value == TOO_SLOW
    assert "measure" in guess.text
    [assumed] = [one for one in found.evidence if one.statistic == "assumed"]
    assert (assumed.value, "not read" in assumed.text) == (400.0, True)


def test_the_engine_decides(monkeypatch):
    monkeypatch.setattr(search, "next_cap", lambda *_: 200.0)
    assert cap_power(case(at_level(sm=0.8, watts=330.0), training(), usd_per_kwh=0.2)).change == CapPower(200.0)


def test_a_low_draw_has_nothing_to_cap():
    found = cap_power(case(at_level(sm=0.8, watts=150.0), training(), usd_per_kwh=0.2))
    assert reason(found) is Reason.NOTHING_TO_CAP


def test_without_an_energy_price_nothing_is_recommended():
    assert reason(cap_power(case(at_level(sm=0.8, watts=330.0), training()))) is Reason.NO_PRICE


def test_mostly_idle_work_is_not_capped():
    one = device(WEEK, busy=range(DAY_STEPS))
    assert reason(cap_power(case(one, training(), usd_per_kwh=0.2))) is Reason.NO_ACTIVITY


def test_an_endpoint_is_not_capped():
    assert reason(cap_power(case(at_level(watts=330.0), usd_per_kwh=0.2))) is Reason.IS_A_SERVICE


def after(found, *, watts: float):
    """What the next run finds, when the work draws this much."""
    whole = case(at_level(sm=0.8, watts=watts), training(), usd_per_kwh=0.2)
    return cap_power(replace(whole, fleet=replace(whole.fleet, earlier=(found,))))


def test_under_the_advised_limit_no_lower_one_is_advised_however_many_runs_follow():
    found = cap_power(case(at_level(sm=0.8, watts=330.0), training(), usd_per_kwh=0.2))
    for _ in range(3):
        found = after(found, watts=300.0)
        assert found.change == CapPower(300.0)
        assert (found.saving.usd_month, found.saving.kwh_month) == (0.0, 0.0)
        assert "none below it is advised" in found.evidence[-3].text


def test_a_higher_draw_raises_the_advised_limit():
    first = cap_power(case(at_level(sm=0.8, watts=250.0), training(), usd_per_kwh=0.2))
    assert after(first, watts=330.0).change == CapPower(300.0)
