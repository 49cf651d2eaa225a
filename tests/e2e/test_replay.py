"""`gpuwise replay` as a process: a public trace with other column names, and errors of invalid traces."""

import csv
import gzip
import io
from itertools import groupby

import pytest
from tests.e2e.test_bad_input import one_line

STEP_S = 60  # the trace has a sample every 57 s, so every step has one or two
PRICE = 3.5
MIN_IDLE_STEPS = -(-900 // STEP_S)
GENTD26 = (
    *("--column", "gpu_util_ratio=gpu_duty_pct:percent", "--column", "memory_used_bytes=gpu_mem_mib:MiB"),
    *("--gpu-type", "A100-80GB", "--step", STEP_S),
)


@pytest.fixture(scope="module")
def trace(traces):
    return traces / "genai_gentd26" / "pod_gpu_57s.csv.gz"


def independent(trace):
    """Idle and allocated seconds by pod, counted without gpuwise: steps below 2 % in intervals of at least 15 min."""
    with gzip.open(trace, "rt") as file:
        rows = sorted((int(r["pod"]), int(r["t_s"]), r["gpu_duty_pct"]) for r in csv.DictReader(file))
    idle_s, held_s = {}, {}
    for pod, group in groupby(rows, key=lambda row: row[0]):
        measured = list(group)
        duties = [(t // STEP_S, float(duty)) for _, t, duty in measured if duty]
        quiet = sorted({step for step, _ in duties} - {step for step, duty in duties if duty >= 2.0})
        runs = [[]]
        for step in quiet:
            if runs[-1] and step != runs[-1][-1] + 1:
                runs.append([])
            runs[-1].append(step)
        name = f"trace/Pod/{pod}"
        idle_s[name] = STEP_S * sum(len(run) for run in runs if len(run) >= MIN_IDLE_STEPS)
        held_s[name] = STEP_S * (measured[-1][1] // STEP_S - measured[0][1] // STEP_S + 1)
    return idle_s, held_s


def test_idle_gpu_seconds_of_a_public_trace_agree_with_an_independent_count(trace, gpuwise, tmp_path):
    prices = tmp_path / "prices.csv"
    prices.write_text(f"gpu_type,capacity_type,usd_per_gpu_h\nA100-80GB,on-demand,{PRICE}\n")
    found = gpuwise("replay", trace, *GENTD26, "--prices", prices, "--every", "6h", "-o", "json").data
    idle_s, held_s = independent(trace)
    rows = {row["workload"]: row for row in found["workloads"]}
    assert {name: row["idle_gpu_h"] * 3600 for name, row in rows.items()} == pytest.approx(idle_s)
    assert {name: row["allocated_gpu_h"] * 3600 for name, row in rows.items()} == pytest.approx(held_s)
    assert found["idle_gpu_h"] * 3600 == pytest.approx(sum(idle_s.values()))
    assert found["idle_usd"] == pytest.approx(sum(idle_s.values()) / 3600 * PRICE)
    assert len(rows) > 60
    # Utilisation is only one sensor, and a bare Pod is never stopped: nothing may be recommended.
    assert {row["finding"] for row in found["findings"]} == {None}
    looks = {row["first_seen_s"] for row in found["findings"]}
    assert min(looks) == found["start_s"] + 6 * 3600
    assert looks <= {*range(found["start_s"], found["end_s"], 6 * 3600), found["end_s"]}


def test_the_table_ends_with_a_summary_of_four_lines_and_progress_is_on_stderr(trace, gpuwise):
    done = gpuwise("replay", trace, *GENTD26, "--kind", "StatefulSet", "--every", "12h")
    assert done.code == 0, done.err
    *_, allocated, idle, recommended, first = done.out.splitlines()
    assert allocated.startswith("Allocated ")
    assert "72 workloads in 22.8" in allocated
    assert idle.startswith("Idle ")
    assert "$" in idle
    assert recommended.startswith("Recommended nothing")
    assert first.split() == ["First", "never"]
    assert "NeedsSecondSignal" in done.out
    assert done.err.splitlines() == ["replay: 2 of 2"]


START_S = 1_780_000_200


def idle_for(hours):
    """A pod that two sensors report idle, and one that is busy."""
    rows = ["pod,t_s,gpu_util_ratio,power_watts"]
    for t_s in range(START_S, START_S + hours * 3600, 300):
        rows += [f"left,{t_s},0.0,61", f"busy,{t_s},0.9,350"]
    return "\n".join(rows) + "\n"


def test_it_shows_when_a_recommendation_would_first_have_been_made(gpuwise, tmp_path):
    trace = tmp_path / "trace.csv"
    trace.write_text(idle_for(120))
    ask = ("replay", trace, "--gpu-type", "A100-80GB", "--kind", "StatefulSet", "--every", "12h")
    rows = list(csv.DictReader(io.StringIO(gpuwise(*ask, "-o", "csv").out)))
    (idle,) = [row for row in rows if row["finding"] == "Idle"]
    assert idle["workload"] == "trace/StatefulSet/left"
    # An endpoint must be idle for 72 h; the first step of the replay after that is the sixth, at 72 h.
    assert int(idle["first_seen_s"]) == START_S + 72 * 3600
    assert float(idle["saving_usd_month"]) > 0
    assert idle["detail"] == "scale to 0"
    table = gpuwise(*ask).out
    assert "(+72 h)" in table.splitlines()[-1]
    assert "trace/StatefulSet/left" in table.splitlines()[-1]


BAD = {
    "no such file": ("none.csv", (), ("none.csv", "does not exist", ".parquet")),
    "a missing column": ("good.csv", ("--column", "gpu_util_ratio=duty"), ("good.csv", "'duty'", "--column")),
    "an unknown card": ("good.csv", ("--gpu-type", "A1000"), ("--gpu-type", "A100-80GB")),
    "an unreadable length of time": ("good.csv", ("--every", "daily"), ("--every", "24h")),
    "a step that cuts hours": ("good.csv", ("--step", "57"), ("--step", "57", "divide an hour")),
    "text instead of numbers": ("words.csv", (), ("words.csv", "much")),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line(gpuwise, tmp_path, name):
    file, options, parts = BAD[name]
    (tmp_path / "good.csv").write_text("pod,t_s,gpu_util_ratio\na,0,0.5\n")
    (tmp_path / "words.csv").write_text("pod,t_s,gpu_util_ratio\na,0,much\n")
    one_line(gpuwise("replay", tmp_path / file, *options), *parts)
