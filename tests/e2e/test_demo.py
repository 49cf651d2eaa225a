"""`gpuwise demo`, and its report in a real browser."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from tests.e2e.conftest import GPUWISE

from gpuwise.model.findings import Finding
from gpuwise.report.wording import usd

pytestmark = pytest.mark.xdist_group("demo")  # one worker makes the demo that they read
CHROMIUM = shutil.which("chromium")


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    command = [GPUWISE, "demo", "--output-dir", folder / "out"]
    env = os.environ | {"HOME": str(folder)}
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done, folder / "out"


def test_it_prints_findings_with_their_cost_and_the_reports_path_last(demo):
    done, folder = demo
    path = Path(done.stdout.strip().splitlines()[-1])
    assert path.parent == folder
    assert path.suffix == ".html"
    assert path.exists()
    assert re.search(r"\$[\d,]+ of \$[\d,]+ went to unused GPUs \(\d+%\)", done.stdout)
    assert "Do these first (the 15 most expensive of" in done.stdout
    for step in ("simulate:", "observe:", "score:"):
        assert step in done.stderr


def test_without_a_demo_there_is_no_cluster_to_serve(gpuwise, tmp_path):
    done = gpuwise("demo", "--api", "--output-dir", tmp_path)
    assert (done.code, "has no saved cluster of a demo; run `gpuwise demo` first" in done.err) == (1, True)


def test_a_folder_that_is_not_of_a_demo_is_not_changed(gpuwise, tmp_path):
    precious = tmp_path / "mine" / "recording" / "thesis.txt"
    precious.parent.mkdir(parents=True)
    precious.write_text("years of work")
    done = gpuwise("demo", "--output-dir", tmp_path / "mine")
    assert (done.code, done.out) == (1, "")
    assert "is not empty and not of an earlier demo; name another --output-dir" in done.err
    assert precious.read_text() == "years of work"


def test_it_enacts_what_is_safe_and_blocks_the_rest_with_reasons(demo):
    _, folder = demo
    (file,) = folder.glob("gpuwise-*.json")
    report = json.loads(file.read_text())
    outcomes = [action["outcome"]["status"] for action in report["actions"]]
    assert outcomes == ["applied"] * 10  # the budget of one hour
    changes = {action["intent"]["command"]["change"]["kind"] for action in report["actions"]}
    assert changes == {"ScaleTo", "Resize", "MoveToSpot"}
    assert report["realised_usd_month"] > 0
    done_ids = {action["intent"]["command"]["recommendation_id"] for action in report["actions"]}
    assert done_ids.isdisjoint(item["id"] for item in report["recommendations"])
    reasons = {item["reason"] for item in report["holds"]}
    assert "MethodFailed" not in reasons
    assert reasons >= {
        "BudgetExhausted",
        "Protected",
        "ManagedByOther",
        "NeedsApproval",
        "UnreadablePolicy",
        "RecommendOnly",
    }


def test_each_finding_is_included_and_can_be_explained_from_metric_to_saving(demo, gpuwise):
    _, folder = demo
    (file,) = folder.glob("gpuwise-*.json")
    report = json.loads(file.read_text())
    carried_out = [action["recommendation"] for action in report["actions"]]
    by_finding = {item["finding"]: item for item in (*report["recommendations"], *carried_out)}
    assert set(by_finding) == set(Finding)
    for item in by_finding.values():
        explained = gpuwise("explain", item["id"], "--ledger", folder / "ledger.db")
        assert explained.code == 0, explained.err
        low, high = item["saving"]["low_usd_month"], item["saving"]["high_usd_month"]
        assert f"between {usd(low)} and {usd(high)}" in explained.out
        assert all(number["text"] in explained.out for number in item["evidence"])
        measured = [number for number in item["evidence"] if number["signal"] is not None]
        assert all(str(folder / "recording") in number["query"] for number in measured)


def test_the_bill_adds_up_and_savings_do_not_exceed_it(demo):
    _, folder = demo
    (file,) = folder.glob("gpuwise-*.json")
    report = json.loads(file.read_text())
    bill = report["bill"]
    assert bill["capacity_gpu_s"] == pytest.approx(320 * 7 * 86_400)
    classes = sum(bill[f"{name}_usd"] for name in ("used", "idle", "outside", "unallocated"))
    assert classes == pytest.approx(bill["capacity_usd"])
    month = 730 / (7 * 24)
    assert report["predicted_usd_month"] + report["realised_usd_month"] <= bill["capacity_usd"] * month
    # Energy by team, and the job whose limit was lowered five days before the end of the week.
    assert all(one["energy"]["kwh"] is None or one["energy"]["kwh"] > 0.0 for one in report["teams"])
    assert any(one["energy"]["kg_co2e"] for one in report["teams"])
    (power,) = report["power"]
    assert (power["workload"], power["limit_w"]) == ("science/Job/weather-nowcast", 315.0)
    assert power["plain"]["hours"] == pytest.approx(2 * 24, abs=1)
    assert power["limited"]["work_per_kwh"] > power["plain"]["work_per_kwh"]


@pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: apt-get install chromium")
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_shows_the_report_without_errors_or_sideways_scrolling(demo, width):
    from playwright.sync_api import sync_playwright

    _, folder = demo
    (page_file,) = folder.glob("*.html")
    logged = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-background-networking"]
        )
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.on("console", lambda message: logged.append(message.text))
        page.on("pageerror", lambda error: logged.append(str(error)))
        page.on("requestfailed", lambda request: logged.append(request.url))
        page.goto(page_file.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert "of GPU time was idle in" in page.inner_text("h1")
        assert page.locator("svg").count() >= 2
        browser.close()
    assert logged == []


# The last test, because it runs commands on the ledger that the other tests read.
def test_its_last_lines_are_commands_that_can_be_pasted(demo, gpuwise_process, tmp_path):
    done, folder = demo
    lines = [shlex.split(line)[1:] for line in done.stderr.splitlines() if line.startswith(f"  {GPUWISE} ")]
    assert [line[0] for line in lines] == ["explain", "plan", "scan", "demo", "undo"]
    explain, plan, scan, api, undo = lines
    own = {"env": {"GPUWISE_LEDGER_PATH": None}}  # the configuration names the demo's ledger
    explained = gpuwise_process(*explain, **own)
    assert explained.code == 0, explained.err
    assert f"Do it      gpuwise apply {explain[1]}" in explained.out
    planned = gpuwise_process(*plan, **own)
    assert planned.code == 0, planned.err
    assert "was changed within the cool-down (CoolingDown)" in planned.out  # the ledger has the demo's actions
    seen = gpuwise_process(*scan, **own)
    assert seen.code == 0, seen.err
    assert re.match(r"demo, \d{4}-", seen.out)
    alone = gpuwise_process(*undo, "--yes", **own)
    assert (alone.code, "cannot reach the Kubernetes API" in alone.err) == (1, True)

    for outcome in ("undone", "already undone"):  # the second time with the cluster that the first one saved
        with subprocess.Popen([GPUWISE, *api], stdout=subprocess.PIPE, text=True) as served:
            assert "The demo's cluster is at http://127.0.0.1:" in served.stdout.readline()
            undone = gpuwise_process(*undo, "--yes", **own)
            served.send_signal(signal.SIGINT)
            assert served.wait(timeout=60) == 0
        assert undone.code == 0, undone.err
        assert outcome in undone.out
    left = json.loads((folder / "cluster.json").read_text())["items"]
    (target,) = [one for one in left if (one["kind"], one["metadata"]["name"]) == ("StatefulSet", "rlhf-sweep")]
    assert target["spec"]["replicas"] == 1
