"""`gpuwise commitments`: the sentence, the formats, and what has no price."""

import csv
import io
import json
from contextlib import closing

import pytest
from tests.command import ran
from tests.finops.test_report import MONDAY

from gpuwise.memory.ledger import SqliteLedger
from gpuwise.model.cost import CostDay, CostRow, GpuSeconds, Owner, Price
from gpuwise.model.inventory import CapacityType
from gpuwise.model.usage import DAY_S

DAYS = 10


@pytest.fixture
def ledger(tmp_path):
    """Two L4 at work all day in us-central1 of GCP, and one H200 in a region without prices of commitments."""
    path = tmp_path / "ledger.db"
    owner = Owner("apps", "Deployment/chat")
    here = Price("L4", CapacityType.ON_DEMAND, "us-central1", None, 1.0)
    there = Price("H200-141GB", CapacityType.ON_DEMAND, "my-dc", None, 5.0)
    days = [MONDAY + at * DAY_S for at in range(DAYS)]
    costs = [CostRow(day_s, owner, here, GpuSeconds(used=48 * 3600.0)) for day_s in days]
    costs += [CostRow(day_s, owner, there, GpuSeconds(used=24 * 3600.0)) for day_s in days]
    with closing(SqliteLedger(path)) as opened:
        opened.belongs_to("uid-1")
        opened.costs().record([CostDay(day_s, day_s, day_s + DAY_S, closed=True) for day_s in days], costs)
    return path


def asked(ledger, tmp_path, *arguments):
    at = ("--now", str(MONDAY + DAYS * DAY_S), "--days", "12")
    done = ran("commitments", "--ledger", str(ledger), *at, *arguments, home=tmp_path)
    assert done.returncode == 0, done.stderr
    return done


def test_it_says_from_which_day_a_commitment_pays(ledger, tmp_path):
    done = asked(ledger, tmp_path)
    text = " ".join(done.stdout.split())
    # 0.6303 x 365 / 1.0004 = 229.97; three years: 0.4502 x 1,096 / 1.0004 = 493.2.
    assert "2 GPUs ran 24.0 h a day for 10 days: a one-year commitment pays from day 230" in text
    assert "a three-year commitment pays from day 494" in text
    assert "no price of a commitment is known for H200-141GB in my-dc" in done.stderr
    assert "the history has 10 of these 12 days in full" in done.stderr


def test_its_formats_have_the_same_numbers(ledger, tmp_path):
    found = json.loads(asked(ledger, tmp_path, "-o", "json").stdout)
    rows = list(csv.DictReader(io.StringIO(asked(ledger, tmp_path, "-o", "csv").stdout)))
    assert [(one["years"], one["gpus"], one["break_even_day"]) for one in found] == [(3, 2, 494), (1, 2, 230)]
    assert [row["break_even_day"] for row in rows] == ["494", "230"]
    assert found[1]["usd_year"] == pytest.approx(2 * 24 * 365 * (1.0004 - 0.6303))


def test_a_price_file_has_the_prices_of_its_owner(ledger, tmp_path):
    prices = tmp_path / "p.csv"
    prices.write_text("gpu_type,capacity_type,usd_per_gpu_h\nH200-141GB,on-demand,4\nH200-141GB,reserved,2\n")
    (one,) = json.loads(asked(ledger, tmp_path, "-o", "json", "--prices", str(prices)).stdout)
    assert (one["gpu_type"], one["years"], one["break_even_day"]) == ("H200-141GB", 1, 183)
