"""`gpuwise report --combine` as a user types it."""

import json
from dataclasses import replace

import pytest
from tests.command import ran
from tests.report.conftest import sample_report

from gpuwise.report import write_report


@pytest.fixture
def files(tmp_path):
    return [write_report(replace(sample_report(), cluster=name), tmp_path / name).json for name in ("east", "west")]


def test_files_of_two_clusters_become_one_report(files, tmp_path):
    flags = [flag for path in files for flag in ("--combine", str(path))]
    done = ran("report", *flags, "-o", "json", home=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["cluster"] == "east, west"
    done = ran("report", *flags, "--output-dir", str(tmp_path / "out"), home=tmp_path)
    assert done.stdout.strip().endswith("gpuwise-clusters-2026-W47.html")


def test_what_a_file_of_an_older_version_lacks_is_said_and_not_0(files, tmp_path):
    """East's file has no cash saving and no trend: the combined report says so by name."""
    known = json.loads(files[0].read_text())
    del known["cash_usd_month"], known["trend"]
    files[0].write_text(json.dumps(known))
    done = ran("report", "--combine", str(files[0]), "--combine", str(files[1]), "-o", "json", home=tmp_path)
    notes = json.loads(done.stdout)["quality"]["notes"]
    remark = "an older version wrote this report; sums and lists are without its trend, cash saving"
    assert [one for one in notes if "older version" in one] == [f"east: {remark}"]


def test_mistakes_are_one_line(files, tmp_path):
    broken = tmp_path / "broken.json"
    broken.write_text("{}")
    for flags, problem in (
        (("--combine", str(tmp_path / "none.json")), "cannot read"),
        (("--combine", str(broken)), "is not a report of this version"),
        (("--combine", str(files[0]), "--combine", str(files[0])), "two reports are of cluster 'east'"),
        (("--combine", str(files[0]), "--team", "ml"), "--combine reads reports"),
    ):
        done = ran("report", *flags, home=tmp_path)
        assert (done.returncode, done.stdout) == (1, "")
        assert problem in done.stderr
        assert done.stderr.count("\n") == 1
