"""The runner of the benchmarks: figures, goals, remarks and failures."""

import json
import subprocess
import sys

import pytest
from benchmarks.measure import at_least, at_most
from benchmarks.outcome import Outcome
from benchmarks.results import write_result
from benchmarks.run import benchmarks
from tests.conftest import REPOSITORY


@pytest.mark.parametrize("name", benchmarks())
def test_every_benchmark_states_what_it_compares_with(name):
    text = (REPOSITORY / "benchmarks" / f"{name}.py").read_text()
    assert {"against", "beside"} & set(text.split('"""')[1].split())


def test_a_goal_is_met_at_its_limit_and_never_without_a_measurement():
    assert at_most(2.0).met(2.0)
    assert at_least(1.6).met(1.6)
    assert not at_most(2.0).met(2.01)
    assert not at_least(1.6).met(1.59)
    assert not at_most(2.0).met(float("nan"))
    assert Outcome("x", "", figures={"a": 1.0}, goals={"a": at_most(2), "b": at_least(1)}).missed == ["b"]


def test_a_trial_run_has_no_verdicts():
    outcome = Outcome("x", "", figures={"a": 3.0}, goals={"a": at_most(2)})
    assert outcome.verdict("a", 1.0) == "missed"
    assert outcome.verdict("a", 0.01) == ""


def test_results_name_machine_commit_remarks_and_failures(tmp_path):
    page, names = tmp_path / "RESULTS.md", ["sketch", "ray_cores"]
    about = "About a,\nin two lines.\n\na_s   seconds, of\n      all\nb, c_d\n      ratios"
    write_result(page, Outcome("sketch", about, {"a": 1.5}, {"a": at_most(2)}, ["peer x is missing"]), names)
    write_result(page, Outcome("ray_cores", "About b.", failure="ended with code 1; its output is above"), names)
    text = page.read_text()
    assert text.count("machine: ") == text.count("commit: ") == 2
    assert "\n\nAbout a, in two lines.\n\n- a_s: seconds, of all\n- b, c_d: ratios\n\n" in text
    assert "| a | 1.5 | <= 2 | met |" in text
    assert "- peer x is missing" in text
    assert "**Failed:** it ended with code 1" in text


def test_results_of_one_benchmark_replace_its_section_only(tmp_path):
    page, names = tmp_path / "RESULTS.md", ["a", "b"]
    for outcome in (Outcome("b", "Of b.", {"x": 1.0}), Outcome("a", "Of a.", {"y": 2.0}), Outcome("gone", "Of it.")):
        write_result(page, outcome, [*names, "gone"])
    before = page.read_text()
    write_result(page, Outcome("b", "Of b.", {"x": 3.0}), names)
    after = page.read_text()
    assert [line for line in after.splitlines() if line.startswith("#")] == ["# Benchmark results", "## a", "## b"]
    assert before.split("## ")[1] == after.split("## ")[1]
    assert "| x | 3 |" in after
    assert "| x | 1 |" not in after


def test_a_trial_of_the_sketch_writes_one_flat_object(tmp_path):
    command = [sys.executable, "-m", "benchmarks.run", "--only", "sketch", "--scale", "0.001", "--into", tmp_path]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "bench.json").read_text())
    assert found["bench_scale"] == 0.001
    assert found["sketch_error"] <= 0.01
    assert {"sketch_over_sum", "sketch_merge_us"} <= found.keys()
    assert all(isinstance(value, float) for value in found.values())
    assert "a trial, no result" in done.stdout
    # What `make test` does not install is reported, not hidden.
    assert all(f"peer {name}" in done.stderr for name in ("ddsketch", "kll", "req", "fastdigest", "pytdigest"))


def test_a_benchmark_that_fails_does_not_stop_the_others_and_is_named(tmp_path):
    (tmp_path / "benchmarks").mkdir()
    for path in (REPOSITORY / "benchmarks").glob("*.py"):
        if path.stem in ("measure", "outcome", "results", "run"):
            (tmp_path / "benchmarks" / path.name).write_text(path.read_text())
    (tmp_path / "benchmarks" / "bad.py").write_text('"""Bad."""\n\n\ndef figures():\n    raise ValueError("no luck")\n')
    (tmp_path / "benchmarks" / "fine.py").write_text('"""Fine."""\n\n\ndef figures():\n    return {"x": 1}\n')
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.run"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 1
    assert "no luck" in done.stderr
    assert "failed: bad" in done.stderr
    assert json.loads((tmp_path / "build" / "bench.json").read_text()) == {"bench_scale": 1.0, "x": 1.0}
