"""Energy in the show-back table: kWh and kg CO2e of each team, with the measured share; missing is missing, not 0."""

import json
from dataclasses import replace

import pytest
from tests.finops.recorded import BUSY, IDLE, WEEK_H, Fleet

from gpuwise.finops.combined import combined
from gpuwise.model.report import EnergyUse, TeamCost
from gpuwise.report import energy_wording, render_html, render_json, render_markdown
from gpuwise.report.mail import Views
from gpuwise.sources.grid import read_grid

NO_POWER = {**BUSY, "power_watts": ""}
RED_KWH = (84 * 330 + 84 * 60) / 1_000
REGION = "europe-west4"


@pytest.fixture
def report(tmp_path):
    """Red has a card for a week, half of it busy at 330 W, half idle at 60 W; blue's card has power for a day only; the
    one of green has none. Red is in a region whose grid is known, the others are in none."""
    fleet = Fleet(tmp_path)
    for number, space in enumerate(("red", "blue", "green")):
        fleet.node(f"n{number}")
        fleet.namespace(space, team=f"{space}-team")
        fleet.deployment(f"{space}-app", namespace=space)
    fleet.objects[0]["metadata"]["labels"]["topology.kubernetes.io/region"] = REGION
    fleet.pod("red-0", "n0", hours=(0, 84), owner="red-app", started_h=-500)
    fleet.pod("red-0", "n0", hours=(84, WEEK_H), values=IDLE)
    fleet.pod("blue-0", "n1", hours=(0, 24), owner="blue-app", namespace="blue", device="GPU-2")
    fleet.pod("blue-0", "n1", hours=(24, WEEK_H), namespace="blue", device="GPU-2", values=NO_POWER)
    fleet.pod("green-0", "n2", hours=(0, WEEK_H), owner="green-app", namespace="green", device="GPU-3", values=NO_POWER)
    return fleet.report(week=True)


def of(report, team):
    (found,) = (one for one in report.teams if one.team == team)
    return found


def test_each_team_has_its_measured_energy(report):
    red, blue, green = (of(report, f"{name}-team").energy for name in ("red", "blue", "green"))
    assert red.measured_gpu_h == pytest.approx(WEEK_H)
    assert red.kwh == pytest.approx(RED_KWH)
    assert red.kg_co2e == pytest.approx(RED_KWH * read_grid(None)[REGION])
    assert red.unknown_kwh == 0.0
    # A day of the week is measured, in a region that nobody knows: its carbon is unknown.
    assert blue.measured_gpu_h == pytest.approx(24)
    assert blue.kwh == blue.unknown_kwh == pytest.approx(24 * 0.33)
    assert blue.kg_co2e is None
    assert green == EnergyUse(0.0, None, None, 0.0)
    assert "PUE 1: the boards alone" in report.energy_basis


def test_each_view_shows_it_and_what_is_missing_is_unknown(report):
    html, markdown = render_html(report), render_markdown(report).replace("\\", "").replace("\u00a0", " ")
    (red,) = (line for line in markdown.splitlines() if line.startswith("| red-team |"))
    (blue,) = (line for line in markdown.splitlines() if line.startswith("| blue-team |"))
    (green,) = (line for line in markdown.splitlines() if line.startswith("| green-team |"))
    kg = RED_KWH * read_grid(None)[REGION]
    assert f"| {RED_KWH:.1f} kWh | {kg:.1f} kg | 100 % |" in red
    assert "| 7.9 kWh | unknown | 14 % |" in blue
    assert "| unknown | unknown | 0 % |" in green
    for text in (html, Views.of(report).html):
        shown = text.replace("\u00a0", " ")
        assert f"{RED_KWH:.1f} kWh" in shown
        assert f">{kg:.1f} kg<" in shown
        assert "14 % measured" in shown
        assert "0 kWh" not in shown.replace(f"{RED_KWH:.1f} kWh", "")
    rows = {one["team"]: one["energy"] for one in json.loads(render_json(report))["teams"]}
    assert rows["green-team"] == {"measured_gpu_h": 0.0, "kwh": None, "kg_co2e": None, "unknown_kwh": 0.0}
    assert report.energy_basis in render_markdown(report).replace("\\", "")


def test_several_clusters_sum_it_and_an_earlier_report_is_missing(report):
    east, west = (replace(report, cluster=name) for name in ("east", "west"))
    red = of(combined([east, west]), "red-team").energy
    assert (red.kwh, red.measured_gpu_h) == (pytest.approx(2 * RED_KWH), pytest.approx(2 * WEEK_H))
    assert of(combined([east, west]), "green-team").energy == EnergyUse(0.0, None, None, 0.0)
    assert combined([east, west]).energy_basis == report.energy_basis
    early = replace(west, teams=tuple(replace(one, energy=None) for one in west.teams))
    assert of(combined([east, early]), "red-team").energy == of(report, "red-team").energy
    assert of(combined([replace(early, cluster="east"), early]), "red-team").energy is None


def energy(measured_gpu_h, kwh, kg_co2e=None, unknown_kwh=0.0, *, allocated_gpu_h=100.0):
    use = EnergyUse(measured_gpu_h, kwh, kg_co2e, unknown_kwh)
    return TeamCost("a", 1, allocated_gpu_h, 0.0, None, None, 0.0, energy=use)


@pytest.mark.parametrize(
    ("rest", "text"),
    [
        ([energy(100.0, 7.0), energy(99.9, 5.0)], ", and used 12.0 kWh"),
        ([energy(100.0, 12.0), energy(0.0, None)], ", and used at least 12.0 kWh (50 % measured)"),
        (
            [energy(100.0, 12.0), replace(energy(0.0, None), energy=None)],
            ", and used at least 12.0 kWh (50 % measured)",
        ),
        ([energy(10.0, 12.0)], ", and used at least 12.0 kWh (10 % measured)"),
        ([energy(0.0, None)], ""),
        ([], ""),
    ],
)
def test_the_energy_of_other_teams_says_of_how_much_of_their_time_it_is(rest, text):
    assert energy_wording.energy_of_rest(rest).replace("\u00a0", " ") == text


@pytest.mark.parametrize(
    ("team", "text"),
    [
        (energy(100.0, 12.0, 6.0), "6.0 kg"),
        (energy(60.0, 12.0, 6.0), "at least 6.0 kg"),
        (energy(100.0, 12.0, 6.0, unknown_kwh=1.0), "at least 6.0 kg"),
        (energy(60.0, 12.0), "unknown"),
    ],
)
def test_carbon_is_a_least_where_energy_is_not_measured_or_a_region_is_unknown(team, text):
    assert energy_wording.carbon(team).replace("\u00a0", " ") == text
