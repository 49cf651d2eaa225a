"""A CSV is opened in a spreadsheet: no name in it is a formula there."""

import csv
import dataclasses
import io

import pytest
from tests.report.conftest import sample_report

from gpuwise.cli import show
from gpuwise.cli.ledger import _csv
from gpuwise.memory.ledger_audit import Entry


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_name_in_a_csv_is_a_formula(capsys, start):
    team = f'{start}HYPERLINK("http://evil")'
    report = sample_report()
    workloads = tuple(dataclasses.replace(one, team=team) for one in report.workloads)
    show.document(dataclasses.replace(report, workloads=workloads), "csv")
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out, newline="")))
    assert [one["team"] for one in rows] == [f"'{team}"] * len(workloads)
    assert [float(one["idle_gpu_h"]) for one in rows] == [one.idle_gpu_h for one in workloads]


def test_no_detail_in_the_csv_of_the_ledger_is_a_formula(capsys):
    _csv([Entry(1, 0, "directive", "=cmd|'/c calc'!A1", "", "", "pause", "@SUM(A1)", "", "", {})])
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (row["actor"], row["detail"], row["what"]) == ("'=cmd|'/c calc'!A1", "'@SUM(A1)", "pause")
