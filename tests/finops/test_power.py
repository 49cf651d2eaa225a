"""With and without a power limit: the same work on the same GPUs; only what is alike and measured is compared."""

from dataclasses import replace

import pytest
from tests.finops.recorded import WEEK_H, Fleet, at

from gpuwise.finops import power
from gpuwise.finops.combined import combined
from gpuwise.finops.energy import Factors
from gpuwise.finops.power import NOT_OBSERVED, power_comparisons
from gpuwise.memory.ledger import SqliteLedger
from gpuwise.memory.profile_file import ProfileFile
from gpuwise.model.gpu import named
from gpuwise.model.pace import Pace
from gpuwise.pipeline import LoopSettings, Pipeline
from gpuwise.recommend.engines import paces as advice
from gpuwise.report import render_html, render_markdown
from gpuwise.schedule.in_process import InProcess
from gpuwise.sources.grid import read_grid
from gpuwise.sources.kubernetes.inventory import KubernetesInventory, RecordedObjects
from gpuwise.sources.prices import read_prices
from gpuwise.sources.recording import RecordedUsage

DEFAULT_W = named("A100-80GB").board_watts
REGION = "europe-west4"
HOUR_S = 3_600.0


def pace(limit_w, *, hours=10.0, per_s=1.0, watts=300.0, devices=1, fraction=1.0, card="A100-80GB"):
    """Work at a speed, and with a mean power of all devices together; None where power was not sampled."""
    seconds = hours * HOUR_S
    energy_j = None if watts is None else watts * seconds
    return Pace(card, fraction, devices, limit_w, at(0), at(0) + int(seconds), seconds, per_s * seconds, energy_j)


@pytest.fixture
def seen(tmp_path):
    """A period with one workload in a region whose grid is known, in a data centre of PUE 1.5."""
    fleet = Fleet(tmp_path)
    fleet.node("n0")
    fleet.objects[0]["metadata"]["labels"]["topology.kubernetes.io/region"] = REGION
    fleet.namespace("red", team="red-team")
    fleet.deployment("red-app")
    fleet.pod("red-0", "n0", hours=(0, WEEK_H), owner="red-app", started_h=-500)
    fleet.report()
    with SqliteLedger(tmp_path / "ledger.db") as ledger:
        loop = Pipeline(
            KubernetesInventory(RecordedObjects(tmp_path / "inventory.json")), RecordedUsage(tmp_path),
            read_prices(tmp_path / "prices.csv"), InProcess(), ProfileFile, ledger,
            LoopSettings("test", WEEK_H, fleet.step_s, 100),
        )  # fmt: skip
        period = loop.period(loop.survey(at(WEEK_H)), at(WEEK_H))
        yield replace(period, factors=Factors(1.5, {}, period.prices.kg_co2e_per_kwh))


def found(period, *paces):
    return power_comparisons(period, [(period.inventory.workloads[0].ref, paces)])


def test_energy_carbon_and_units_per_kwh_on_paper(seen):
    """20 h at 1 unit/s and 400 W: 72,000 units for 12 kWh with PUE 1.5. Under 300 W 10 h at 0.9 unit/s and 300 W:
    32,400 for 4.5 kWh. So 6,000 and 7,200 units per kWh: a sixth less energy per unit, a tenth slower."""
    (one,) = found(seen, pace(DEFAULT_W, hours=20.0, watts=400.0), pace(300.0, per_s=0.9))
    assert (one.limit_w, one.devices, one.gpu_type, one.team) == (300.0, 1, "A100-80GB", "red-team")
    assert (one.plain.work, one.plain.kwh, one.plain.work_per_kwh) == pytest.approx((72_000, 12.0, 6_000))
    assert (one.limited.work, one.limited.kwh, one.limited.work_per_kwh) == pytest.approx((32_400, 4.5, 7_200))
    assert one.limited.kg_co2e == pytest.approx(4.5 * read_grid(None)[REGION])
    assert (one.energy_ratio, one.speed_ratio) == pytest.approx((5 / 6, 0.9))


def test_paces_under_one_limit_are_one_line_and_each_limit_is_its_own(seen):
    both = found(seen, pace(DEFAULT_W), pace(300.0, hours=6.0), pace(300.0, hours=4.0), pace(250.0, watts=250.0))
    assert [one.limit_w for one in both] == [300.0, 250.0]
    assert both[0].limited.hours == pytest.approx(10.0)
    assert both[0].plain == both[1].plain


@pytest.mark.parametrize(
    "other",
    [
        pace(300.0, devices=2),
        pace(300.0, card="H100-80GB"),
        pace(300.0, fraction=1 / 7),
        pace(None),
        pace(DEFAULT_W),
        pace(DEFAULT_W + 50),
        pace(300.0, hours=3.9),
        pace(300.0, per_s=0.01),
    ],
)
def test_what_is_not_alike_or_too_short_is_not_compared(seen, other):
    assert found(seen, pace(DEFAULT_W), other) == ()


def test_without_a_power_reading_the_energy_is_unknown_and_the_speed_is_not(seen):
    (one,) = found(seen, pace(DEFAULT_W), pace(300.0, watts=None, per_s=0.9))
    assert (one.limited.kwh, one.limited.kg_co2e, one.limited.work_per_kwh, one.energy_ratio) == (None,) * 4
    assert one.speed_ratio == pytest.approx(0.9)


def test_paces_without_energy_leave_that_of_the_others_as_it_is(seen):
    """Of 20 h under the limit 10 have a power reading. Energy, work and hours are of these: 4.5 kWh for 32,400."""
    under = (pace(300.0, per_s=0.9), pace(300.0, per_s=0.5, watts=None))
    (one,) = found(seen, pace(DEFAULT_W, watts=400.0), pace(DEFAULT_W, watts=None), *under)
    assert (one.limited.kwh, one.limited.work, one.limited.hours) == pytest.approx((4.5, 32_400, 10.0))
    assert (one.energy_ratio, one.speed_ratio) == pytest.approx((5 / 6, 0.9))


@pytest.mark.parametrize("short", [pace(300.0, hours=3.9), pace(300.0, per_s=0.01)])
def test_too_little_work_with_energy_is_none_and_the_speed_is_of_all(seen, short):
    (one,) = found(seen, pace(DEFAULT_W), short, pace(300.0, watts=None))
    assert (one.limited.kwh, one.energy_ratio) == (None, None)
    assert one.limited.hours == pytest.approx(short.seconds / HOUR_S + 10.0)


@pytest.mark.parametrize(
    ("pues", "kwh"),
    [
        ({}, 4.5),
        ({REGION: 1.2, "asia-east1": 1.2}, 3.6),
        ({REGION: 1.2}, None),
        ({REGION: 1.1, "asia-east1": 1.4}, None),
    ],
)
def test_in_two_regions_the_energy_is_known_only_if_their_pue_is_the_same(seen, monkeypatch, pues, kwh):
    """10 h at 300 W are 3 kWh of the boards; the general PUE is 1.5."""
    monkeypatch.setattr(power, "_regions", lambda *_: {REGION, "asia-east1"})
    both = replace(seen, factors=replace(seen.factors, pue_by_region=pues))
    (one,) = found(both, pace(DEFAULT_W), pace(300.0))
    assert one.limited.kwh == (None if kwh is None else pytest.approx(kwh))
    assert one.limited.kg_co2e is None
    assert one.speed_ratio == pytest.approx(1.0)


def test_the_least_measurement_is_that_of_the_advice_on_limits():
    assert (power.LEAST_S, power.LEAST_UNITS) == (advice.LEAST_S, advice.LEAST_UNITS)


def test_each_view_shows_it_as_text_or_says_that_it_was_not_observed(seen, tmp_path):
    plain = Fleet(tmp_path / "plain")
    plain.node("n0")
    report = plain.report()
    assert (report.power, report.power_basis) == ((), NOT_OBSERVED)
    for text in (render_html(report), render_markdown(report)):
        assert "not observed in this period" in text
    (one,) = found(seen, pace(DEFAULT_W), pace(300.0, per_s=0.9))
    hostile = replace(one, workload="<b>|x|</b>", team="<i>", model="`m`")
    shown = replace(report, power=(hostile,), power_basis=power.METHOD)
    html, markdown = render_html(shown), render_markdown(shown)
    assert "<b>|x|" not in html
    assert ">With and without a power limit</h2>" in html
    assert '>Without it</th><th scope="col">Change</th>' in html
    assert "## With and without a power limit" in markdown
    assert "| units per kWh under it | without it | change |" in markdown
    assert "&lt;b&gt;|x|" in html
    (row,) = (line for line in markdown.splitlines() if "300 W, 1 x" in line.replace("\\", ""))
    assert row.replace("\\|", "").count("|") == 6
    assert "energy per unit +11.1" in row.replace("\\", "")
    both = combined([replace(shown, cluster=name) for name in ("east", "west")])
    assert [two.workload for two in both.power] == ["east/<b>|x|</b>", "west/<b>|x|</b>"]
    assert both.power_basis == power.METHOD
