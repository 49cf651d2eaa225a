"""`gpuwise export`: three formats of the same charges, and names that a spreadsheet must not compute."""

import csv
import io
import json
from contextlib import closing
from decimal import Decimal

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.cli.test_mistakes import ran
from tests.finops.test_report import MONDAY

from gpuwise.cli.csv_cells import safe
from gpuwise.cli.focus_files import write_csv, write_json, write_parquet
from gpuwise.cli.windows import days_of
from gpuwise.finops.focus import COLUMNS, METRICS, OBJECTS, Account, focus_rows
from gpuwise.memory.ledger import SqliteLedger
from gpuwise.model.cost import NOBODY, CostDay, CostRow, GpuSeconds, Owner, Price
from gpuwise.model.inventory import CapacityType
from gpuwise.model.usage import DAY_S

HOSTILE = (
    '=cmd|"/c calc"!A1', "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\n=1", "'", "''=1", "\uff1d1", 'a"b', "a,b",
    "line\nend", "<script>", "naïve 🦙", " ",
)  # fmt: skip
H100 = Price("H100-80GB", CapacityType.ON_DEMAND, "us-east-1", None, 6.88)
ACCOUNT = Account("uid-1", "prod", "prod", "Example Cloud")


def of_team(team, *, price=H100, day_s=MONDAY, hours=1.0):
    return CostRow(day_s, Owner("apps", "Deployment/chat", team=team), price, GpuSeconds(used=hours * 3600))


def charges(*teams):
    return list(focus_rows([of_team(team) for team in teams], [], ACCOUNT))


def as_csv(rows):
    text = io.StringIO()
    write_csv(rows, text)
    return list(csv.DictReader(io.StringIO(text.getvalue(), newline="")))


def as_json(rows):
    text = io.StringIO()
    write_json(rows, text)
    return json.loads(text.getvalue(), parse_float=Decimal, parse_int=Decimal)


def as_parquet(rows):
    data = io.BytesIO()
    write_parquet(rows, data)
    return pq.read_table(io.BytesIO(data.getvalue())).to_pylist()


@pytest.mark.parametrize("team", HOSTILE)
def test_a_hostile_team_is_whole_in_json_and_parquet_and_no_formula_in_csv(team):
    given_rows = charges(team)
    for found in (as_json(given_rows), as_parquet(given_rows)):
        assert found[0]["x_gpuwise_team"] == team
    assert json.loads(as_parquet(given_rows)[0]["AllocatedTags"])["gpuwise.dev/team"] == team
    (row,) = as_csv(given_rows)
    cell = row["x_gpuwise_team"]
    assert cell[:1] not in ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d")
    assert cell.removeprefix("'") == team
    assert all(value[:1] not in ("=", "+", "-", "@", "\t", "\r", "\n") for value in row.values())


@given(st.text())
def test_a_cell_that_was_made_safe_is_the_text_again_without_its_apostrophe(text):
    assert safe(text).removeprefix("'") == text


def test_the_formats_have_the_same_charges_with_every_digit():
    price = H100._replace(usd_per_gpu_h=1 / 3)
    rows = list(focus_rows([of_team(None, price=price, hours=1 / 7)], [], ACCOUNT))
    (json_row,), (parquet_row,), (csv_row,) = as_json(rows), as_parquet(rows), as_csv(rows)
    assert json_row["BilledCost"] == Decimal("0.142857143") * Decimal("0.3333333333")
    for name in METRICS:
        assert json_row[name] == parquet_row[name] == Decimal(csv_row[name])
    for name in OBJECTS:
        assert json_row[name] == (csv_row[name] and json.loads(csv_row[name], parse_float=Decimal, parse_int=Decimal))
        assert json.loads(parquet_row[name], parse_float=Decimal, parse_int=Decimal) == json_row[name]
    for name in set(COLUMNS) - set(METRICS) - set(OBJECTS) - {"x_gpuwise_final"}:
        assert json_row[name] == parquet_row[name] == (csv_row[name] or None)
    assert list(json_row) == list(csv_row) == list(parquet_row) == list(COLUMNS)
    assert (json_row["x_gpuwise_final"], csv_row["x_gpuwise_final"]) == (False, "false")


def test_an_export_without_charges_has_its_header():
    assert as_json([]) == as_parquet([]) == as_csv([]) == []
    text = io.StringIO()
    write_csv([], text)
    assert text.getvalue() == ",".join(COLUMNS) + "\r\n"


@pytest.mark.parametrize(
    ("window", "days"),
    [
        ("month", 30),
        ("2026-11", 30),
        ("2024-02", 29),
        ("2026-W53", 7),
        ("2026-11-16..2026-11-16", 1),
        ("2025-12-30..2026-01-02", 4),
    ],
)
def test_a_window_has_whole_days(window, days):
    found = days_of(window, MONDAY)
    assert (found.length, found.start_s % DAY_S) == (days, 0)


@pytest.fixture
def ledger(tmp_path):
    """A ledger with days of two clusters; one of them has time without a price."""
    path = tmp_path / "ledger.db"
    with closing(SqliteLedger(path)) as opened:
        for cluster, unpriced in (("uid-1", False), ("uid-2", True)):
            opened.belongs_to(cluster)
            costs = [of_team("red"), CostRow(MONDAY, NOBODY, H100, GpuSeconds(unallocated=3600))]
            if unpriced:
                costs.append(of_team("blue", price=H100._replace(usd_per_gpu_h=None), hours=2.5))
            opened.costs().record([CostDay(MONDAY, MONDAY, MONDAY + DAY_S, closed=True)], costs)
    return path


def test_the_command_exports_every_cluster_and_counts_what_has_no_price(ledger, tmp_path):
    done = ran("export", "--ledger", str(ledger), "--window", "2026-11-16..2026-11-17", "-o", "json", home=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [row["SubAccountId"] for row in rows] == ["uid-1", "uid-1", "uid-2", "uid-2"]
    assert {row["ServiceProviderName"] for row in rows} == {"Amazon Web Services"}  # by the region
    assert "blue" not in done.stdout
    assert "the history has 1 of the 2 days of 2026-11-16..2026-11-17" in done.stderr
    assert "2.5 GPU-h have no price and are not in the file: 2.5 of H100-80GB" in done.stderr


def test_the_command_exports_one_cluster_to_a_file(ledger, tmp_path):
    file = tmp_path / "november.parquet"
    asked = ("export", "--ledger", str(ledger), "--window", "2026-W47", "--cluster", "uid-1", "-o", "parquet")
    done = ran(*asked, "--provider", "Example Cloud", "--output", str(file), home=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    rows = pq.read_table(file).to_pylist()
    assert {row["SubAccountId"] for row in rows} == {"uid-1"}
    assert {row["ServiceProviderName"] for row in rows} == {"Example Cloud"}
    assert sum(row["BilledCost"] for row in rows) == Decimal("13.76")
    assert "no price" not in done.stderr
    assert [one.name for one in tmp_path.glob("*november*")] == ["november.parquet"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--cluster", "other"), "--cluster is 'other', and the ledger has days of uid-1, uid-2"),
        (("-o", "parquet"), "Parquet is not text; name a file with --output"),
        (("--window", "2026-13"), "--window is '2026-13'"),
        (("--ledger", "none.db"), "there is no ledger none.db"),
    ],
)
def test_a_mistake_is_one_line(ledger, tmp_path, arguments, problem):
    done = ran("export", "--ledger", str(ledger), *arguments, home=tmp_path)
    assert done.returncode == 1
    assert done.stdout == ""
    assert problem in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_one_cluster_has_the_configured_name_and_one_without_a_uid_is_exported(tmp_path):
    path = tmp_path / "ledger.db"
    with closing(SqliteLedger(path)) as opened:
        opened.costs().record([CostDay(MONDAY, MONDAY, MONDAY + DAY_S, closed=True)], [of_team("red")])
    done = ran(
        "export", "--ledger", str(path), "--window", "2026-11", "-o", "json", "--cluster-name", "prod", home=tmp_path
    )
    (row,) = json.loads(done.stdout)
    assert (row["SubAccountId"], row["SubAccountName"], row["BillingAccountId"]) == ("prod", "prod", "prod")
