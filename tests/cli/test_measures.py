"""`gpuwise energy`, `units` and `kpis` as a user types them: every form, hostile names, mistakes, empty histories."""

import csv
import io
import json
import re
from contextlib import closing

import pytest
from tests.command import ran

from gpuwise.memory.ledger import SqliteLedger
from gpuwise.model.cost import NOBODY, CostDay, CostRow, GpuSeconds, Measures, Owner, Price
from gpuwise.model.usage import DAY_S

HOSTILE = ('=cmd|"/c calc"!A1', "[red]x[/red]", "`|<b>", "naïve 🦙")
TODAY = 1_790_000_000 // DAY_S * DAY_S
HOUR_S = 3_600.0
PRICE = Price("T4", region="us-east1", usd_per_gpu_h=2.0)


def rows() -> list[CostRow]:
    """A day of each hostile team with 10 h at 50 W and 1,000 requests, and a day of a node that nobody had."""
    known = Measures(10 * HOUR_S, 50.0 * 10 * HOUR_S, 10 * HOUR_S, 5 * HOUR_S, requests=1_000.0)
    time = GpuSeconds(used=8 * HOUR_S, idle=2 * HOUR_S)
    found = [
        CostRow(
            TODAY - DAY_S, Owner("apps", f"Deployment/{at}", team=name, model=name, project=name), PRICE, time, known
        )
        for at, name in enumerate(HOSTILE)
    ]
    free = Measures(powered_s=20 * HOUR_S, energy_j=10.0 * 20 * HOUR_S)
    return [*found, CostRow(TODAY - DAY_S, NOBODY, PRICE, GpuSeconds(unallocated=40 * HOUR_S), free)]


@pytest.fixture
def ledger(tmp_path):
    path = tmp_path / "ledger.db"
    day = CostDay(TODAY - DAY_S, TODAY - DAY_S, TODAY, closed=True)
    with closing(SqliteLedger(path)) as opened:
        opened.belongs_to("uid-1")
        opened.costs().record([day], rows())
    return path


def asked(name, ledger, tmp_path, *arguments):
    span = ("--window", "2d", "--now", str(TODAY))
    return ran(name, "--ledger", str(ledger), *span, *arguments, home=tmp_path)


def test_energy_in_each_form_sums_to_the_same_total(ledger, tmp_path):
    """Four teams with 0.5 kWh each, and 0.2 kWh of devices that no pod had, half of whose time has no reading."""
    found = json.loads(asked("energy", ledger, tmp_path, "-o", "json").stdout)
    lines = list(csv.DictReader(io.StringIO(asked("energy", ledger, tmp_path, "-o", "csv").stdout)))
    assert found["total"]["kwh"] == pytest.approx(2.2)
    assert sum(float(one["kwh"]) for one in lines) == pytest.approx(2.2)
    assert found["total"]["kg_co2e"] == pytest.approx(sum(one["kg_co2e"] for one in found["lines"]))
    assert "Google Cloud" in found["intensity"]
    free = next(one for one in found["lines"] if one["kind"] == "nobody")
    assert (free["kwh"], free["measured_gpu_h"], free["gpu_h"]) == (pytest.approx(0.2), 20.0, 40.0)
    table = asked("energy", ledger, tmp_path).stdout
    assert "50\u00a0% of 40\u00a0GPU-h" in table
    # Half of their time has no reading.
    assert re.search(r"\(no pod\)\s+at least 0\.2 +at least", table), table
    assert re.search(r"Total\s+at least 2\.2 +at least", table), table
    assert "the boards alone (finops.pue is not set)" in table


def test_hostile_names_are_text_in_each_form(ledger, tmp_path):
    lines = csv.DictReader(io.StringIO(asked("energy", ledger, tmp_path, "-o", "csv").stdout))
    assert {f"'{HOSTILE[0]}", *HOSTILE[1:]} <= {one["team"] for one in lines}
    for name in ("energy", "units"):
        by = json.loads(asked(name, ledger, tmp_path, "--by", "team", "-o", "json").stdout)
        assert set(HOSTILE) <= {one["team"] for one in by["lines" if name == "energy" else "units"]}
        assert "[red]x[/red]" in asked(name, ledger, tmp_path, "--by", "team").stdout


def test_units_have_cost_energy_and_models_that_never_served(ledger, tmp_path):
    """10 h at $2.00 for 1,000 requests; no endpoint has a name, so no model has served."""
    found = json.loads(asked("units", ledger, tmp_path, "-o", "json").stdout)
    assert [one["usd_per_unit"] for one in found["units"]] == [pytest.approx(0.02)] * 4
    assert [one["used_usd_per_unit"] for one in found["units"]] == [pytest.approx(0.016)] * 4
    assert [one["joules_per_unit"] for one in found["units"]] == [pytest.approx(1_800.0)] * 4
    assert found["never_served_usd"] == pytest.approx(80.0)
    table = asked("units", ledger, tmp_path).stdout
    assert "Models that never served: $80 for" in table


def test_a_declared_value_gives_a_return(ledger, tmp_path):
    settings = tmp_path / "values.yaml"
    worth = json.dumps(
        {"finops": {"values": [
            {"value": HOSTILE[1], "usd_per_unit": 0.1, "unit": "request"},
            {"by": "team", "value": HOSTILE[2], "usd_month": 3650},
        ]}}
    )  # fmt: skip
    settings.write_text(worth)
    found = json.loads(asked("units", ledger, tmp_path, "--config", str(settings), "-o", "json").stdout)
    [valued] = [one for one in found["units"] if one["value_usd"] is not None]
    assert (valued["value_usd"], valued["return_usd"], valued["return_ratio"]) == (100.0, 80.0, 5.0)
    [month] = found["returns"]
    assert (month["usd"], month["value_usd"], month["return_ratio"]) == (20.0, pytest.approx(120.0), pytest.approx(6.0))
    table = asked("units", ledger, tmp_path, "--config", str(settings)).stdout
    assert f"team {HOSTILE[2]}: worth $120 for $20, 6.00 times its cost." in table


@pytest.mark.parametrize("form", ["table", "json", "markdown", "html"])
def test_kpis_in_each_form(ledger, tmp_path, form):
    """40 h of pods at half activity, and 40 h that are free: a quarter."""
    text = asked("kpis", ledger, tmp_path, "-o", form).stdout
    assert "effective utilisation" in text
    assert "no action has both a prediction and a measured saving" in " ".join(text.split())
    if form == "json":
        values = {one["name"]: one["value"] for one in json.loads(text)["kpis"]}
        assert values["effective utilisation"] == pytest.approx(0.25)
        assert values["unallocated share"] == pytest.approx(0.5)
        assert values["commitment coverage"] is None
    else:
        assert "25 %" in " ".join(text.split())


@pytest.mark.parametrize("name", ["energy", "units", "kpis"])
def test_a_window_without_days_is_an_error_with_its_remedy(ledger, tmp_path, name):
    found = ran(name, "--ledger", str(ledger), "--window", "2001-01", "--now", str(TODAY), home=tmp_path)
    assert found.returncode == 1
    assert "the cost history has no day of 2001-01; run `gpuwise scan`" in found.stderr


def test_units_are_not_by_day_or_cluster(ledger, tmp_path):
    found = asked("units", ledger, tmp_path, "--by", "day")
    assert found.returncode == 1
    assert "--by is 'day': units are by organisation" in found.stderr or "units are by namespace" in found.stderr
