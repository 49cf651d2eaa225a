"""PowerLimitOverprovisioned: a lower power limit."""

from dataclasses import replace

import pytest
from tests.cases import WEEK, at_level, reason, training
from tests.cases import mixed_fleet_case as case
from tests.series import DAY_STEPS, device

from gpuwise.model.changes import CapPower
from gpuwise.model.labels import WORK_METRIC
from gpuwise.model.pace import Pace
from gpuwise.model.reasons import Reason
from gpuwise.model.signal import Signal
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


def paced(*paces: Pace, metric: str | None = "trainer_steps_total", work: float | None = 1e6, limit: str = ""):
    """The method on work at 330 W whose paces are known."""
    declared = {} if metric is None else {WORK_METRIC: limit or metric}
    whole = case(at_level(sm=0.8, watts=330.0), training(annotations=declared), usd_per_kwh=0.2)
    return cap_power(replace(whole, profile=replace(whole.profile, work=work, paces=paces)))


def pace(limit_w: float | None, *, slower: float = 1.0, hours: float = 10.0, number: int = 0, watts=None) -> Pace:
    """One unit of work a second on one GPU at the board's maximum."""
    seconds = hours * 3_600.0
    draw_w = watts or min(330.0, limit_w or 330.0)
    first_s = number * 100_000
    return Pace(
        "A100-80GB", 1.0, 1, limit_w, first_s, first_s + int(seconds), seconds, seconds / slower, draw_w * seconds
    )


def texts(found) -> str:
    return "\n".join(one.text for one in found.evidence)


def test_measured_work_gets_the_next_limit_to_measure():
    found = paced(pace(400.0))
    assert (found.change, found.reasons) == (CapPower(300.0), (Reason.DRAWS_LESS_THAN_LIMIT,))
    assert found.saving.kwh_month == pytest.approx(730 * (330 - 300 - 0.05 * 300) / 1e3)
    assert "power limit in force" in texts(found)
    assert "not read" not in texts(found)
    assert not [one for one in found.evidence if one.statistic == "backtest"]


def test_a_slow_limit_is_taken_back_and_excludes_no_other_recommendation():
    found = paced(pace(400.0), pace(300.0, slower=1.08, number=1))
    assert (found.change, found.reasons, found.claims) == (CapPower(400.0), (Reason.SLOWER_UNDER_LIMIT,), ())
    assert (found.saving.usd_month, found.saving.kwh_month) == (0.0, 0.0)
    [slow] = [one for one in found.evidence if one.text.startswith("time per unit of work at 300 W")]
    assert (slow.value, slow.threshold, slow.signal) == (pytest.approx(1.08), 1.05, Signal.WORK)


def test_work_that_became_faster_is_measured_again_under_the_highest_limit():
    found = paced(pace(400.0), pace(300.0, slower=0.8, number=1))
    assert (found.change, found.reasons, found.claims) == (CapPower(400.0), (Reason.MEASURE_AGAIN,), ())


def test_after_it_was_taken_back_a_limit_between_is_next():
    found = paced(pace(400.0), pace(300.0, slower=1.08, number=1), pace(400.0, number=2))
    assert 300.0 < found.change.limit_w < 400.0


def finished(*, in_force: float):
    """Four measured limits, of which 285 W takes the least energy; three tries are allowed."""
    tried = [pace(400.0), pace(300.0, number=1), pace(285.0, slower=1.03, number=2, watts=280.0)]
    tried.append(pace(270.0, slower=1.049, number=3, watts=285.0))
    order = sorted(tried, key=lambda one: one.limit_w == in_force)
    return [replace(one, first_s=i * 100_000, last_s=i * 100_000 + 36_000) for i, one in enumerate(order)]


def test_when_the_search_has_ended_the_best_measured_limit_is_recommended():
    found = paced(*finished(in_force=270.0))
    assert (found.change, found.reasons) == (CapPower(285.0), (Reason.LIMIT_MEASURED,))
    now_j, then_j = 285.0 * 1.049, 280.0 * 1.03
    assert found.saving.kwh_month == pytest.approx(730 * (now_j - then_j) / 1.049 / 1e3)


def test_the_best_limit_in_force_is_kept():
    found = paced(*finished(in_force=285.0))
    assert reason(found) is Reason.LIMIT_IS_BEST
    assert "keep 285 W" in found.detail


def test_a_new_limit_is_measured_before_the_next_one_is_advised():
    found = paced(pace(400.0), pace(300.0, hours=0.5, number=1))
    assert reason(found) is Reason.INSUFFICIENT_DATA
    assert "300 W is in force: 0.5 h and 1800 units" in found.detail


def test_work_that_draws_less_than_every_limit_is_measured_and_no_saving_is_promised():
    """On Zeus' V100, work with a mean draw below the lowest limit took up to 14 % less energy under it."""
    found = paced(pace(400.0, watts=150.0))
    assert (found.change, found.saving.usd_month) == (CapPower(160.0), 0.0)


def test_no_saving_is_promised_where_the_power_under_the_limit_in_force_is_unknown():
    found = paced(replace(pace(400.0), energy_j=None))
    assert found.change.limit_w < 400.0
    assert (found.saving.kwh_month, found.saving.high_usd_month) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ({"metric": None}, "annotate it with gpuwise.dev/work-metric"),
        ({"limit": "no such name"}, "is not the name of a metric"),
        ({"work": None}, "check that Prometheus scrapes its pods"),
        ({}, "was sampled and all its GPUs"),
    ],
    ids=["not declared", "no valid name", "no samples", "no pace"],
)
def test_without_a_measurement_it_is_the_guess_and_says_what_is_missing(given, hint):
    found = paced(**given)
    assert found.change == CapPower(300.0)
    assert hint in texts(found)
    assert [one.value for one in found.evidence if one.statistic == "backtest"] == [TOO_SLOW]


def test_without_the_limit_in_force_it_is_the_guess_and_names_the_field_to_enable():
    found = paced(pace(None))
    assert found.change == CapPower(300.0)
    assert "DCGM_FI_DEV_ENFORCED_POWER_LIMIT" in texts(found)
