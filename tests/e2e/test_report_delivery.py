"""`gpuwise report` in another time zone, as PDF, and sent: as a user runs it, against real servers."""

import json
import os
import stat
import tempfile
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from tests.e2e.conftest import gpu_node
from tests.e2e.fleets import listed
from tests.mail_server import mail_server
from tests.series import BUSY_VALUES, IDLE_VALUES
from tests.webhook_server import PATH, webhook_server

from gpuwise.cli.report import week_of
from gpuwise.emulate.objects import deployment
from gpuwise.memory.ledger import SqliteLedger
from gpuwise.model.errors import InputError
from gpuwise.model.usage import DeviceSeries, RecordedPod, Window
from gpuwise.sources.recording import RecordingWriter

STEP_S, DAY_S = 300, 86_400


def at(text):
    return int(datetime.fromisoformat(text).timestamp())


FIRST_S, NOW_S = at("2026-10-12T00:00Z"), at("2026-11-02T12:00Z")
# Around both ends of W43, in every zone of the tests.
IDLE = [(at("2026-10-18T16:05Z"), at("2026-10-19T09:00Z")), (at("2026-10-25T15:00Z"), at("2026-10-26T09:35Z"))]
W43 = {
    "UTC": ("2026-10-19T00:00Z", "2026-10-26T00:00Z"),
    "Europe/Berlin": ("2026-10-18T22:00Z", "2026-10-25T23:00Z"),  # summer time ends: 169 h
    "America/Los_Angeles": ("2026-10-19T07:00Z", "2026-10-26T07:00Z"),
    "Asia/Kolkata": ("2026-10-18T18:30Z", "2026-10-25T18:30Z"),
}


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    """A node with 2 cards, of which a pod has one: it works, and is idle at both ends of a week."""
    from gpuwise.emulate import KubernetesEmulator

    folder, window = tmp_path_factory.mktemp("fleet"), Window(FIRST_S, NOW_S, STEP_S)
    host = gpu_node("node-0", gpus=2)
    host["metadata"]["labels"]["nvidia.com/gpu.count"] = "2"
    objects = [host, deployment("train", namespace="research", gpus=1, labels={"team": "ml"})]
    with KubernetesEmulator(objects, clock=lambda: float(window.start_s)) as cluster:
        (pod,) = (one for one in listed(cluster, "/api/v1/pods") if one["metadata"]["namespace"] == "research")
        times = window.start_s + STEP_S * np.arange(window.steps)
        idle = np.logical_or.reduce([(start_s <= times) & (times < end_s) for start_s, end_s in IDLE])
        samples = {
            signal: np.where(idle, IDLE_VALUES[signal], np.full(window.steps, busy))
            for signal, busy in BUSY_VALUES.items()
        }
        card = DeviceSeries(pod["metadata"]["name"], "GPU-1", 1.0, "A100-80GB", "node-0", samples)
        RecordingWriter(folder / "recording").append(RecordedPod("research", window, (card,), None))
        kubeconfig = cluster.write_kubeconfig(folder / "kubeconfig")
        names = ("--cluster-name", "<!channel>=1+1", "--now", NOW_S, "-q")
        yield ("--recording", folder / "recording", "--kubeconfig", kubeconfig, *names)


@pytest.mark.parametrize("zone", W43)
def test_a_week_of_any_zone_counts_its_own_seconds(gpuwise, monkeypatch, options, tmp_path, zone):
    monkeypatch.setenv("GPUWISE_REPORT_TIME_ZONE", zone)
    report = gpuwise("report", "--week", "2026-W43", *options, "-o", "json").data
    start_s, end_s = map(at, W43[zone])
    assert (report["start_s"], report["end_s"], report["time_zone"]) == (start_s, end_s, zone)
    overlap_s = sum(max(0, min(end_s, last_s) - max(start_s, first_s)) for first_s, last_s in IDLE)
    bill, seconds = report["bill"], end_s - start_s
    assert bill["capacity_gpu_s"] == pytest.approx(2 * seconds)
    assert bill["idle_gpu_s"] == pytest.approx(overlap_s)
    assert bill["used_gpu_s"] == pytest.approx(seconds - overlap_s)
    assert bill["unallocated_gpu_s"] == pytest.approx(seconds)
    for name in ("used", "idle", "unallocated"):
        assert sum(day[f"{name}_gpu_h"] for day in report["days"]) * 3600 == pytest.approx(bill[f"{name}_gpu_s"])
    notes = [note for note in report["quality"]["notes"] if "from midnight to midnight" in note or "UTC" in note]
    hours = f"The week has {seconds // 3600} hours, from midnight to midnight in {zone}."
    days = "Days are those of UTC, so the first and the last one are parts of days."
    assert notes == ([] if zone == "UTC" else [hours, days, "Trend and budgets are by UTC days, too."])
    assert seconds == (169 if zone == "Europe/Berlin" else 168) * 3600
    # The cost history is of UTC days: a part of one is never stored as a day, and the week is the UTC week of its name.
    with SqliteLedger(tmp_path / "ledger.db") as ledger:
        days = ledger.costs().days(FIRST_S, NOW_S)
    assert all(day.from_s == day.day_s for day in days)
    assert [day.day_s for day in days if day.closed] == [
        day_s for day_s in range(FIRST_S, NOW_S, DAY_S) if start_s <= day_s and day_s + DAY_S <= end_s
    ]
    assert [one["week"] for one in report["trend"]] == ["2026-W43"]


def test_a_week_that_no_step_begins_with_is_an_error(gpuwise, monkeypatch, options):
    monkeypatch.setenv("GPUWISE_REPORT_TIME_ZONE", "Asia/Kolkata")
    done = gpuwise("report", "--week", "2026-W43", *options, "--step", 3600)
    assert done.code == 1
    assert "does not begin and end with a step of 3600 s" in done.err


def test_an_unknown_zone_is_an_error_that_names_the_key(gpuwise, monkeypatch, options):
    monkeypatch.setenv("GPUWISE_REPORT_TIME_ZONE", "Europe/Atlantis")
    done = gpuwise("report", *options)
    assert done.code == 1
    assert "GPUWISE_REPORT_TIME_ZONE: report.time_zone is 'Europe/Atlantis'" in done.err


@pytest.mark.parametrize(
    ("text", "now", "zone", "name", "bounds"),
    [
        ("2026-W13", "2026-12-01T00:00Z", "Europe/Berlin", "2026-W13", ("2026-03-22T23:00Z", "2026-03-29T22:00Z")),
        ("2026-W43", "2026-12-01T00:00Z", "Europe/Berlin", "2026-W43", ("2026-10-18T22:00Z", "2026-10-25T23:00Z")),
        # Monday in Auckland, Sunday in UTC: the week before the one that begins there.
        ("last", "2026-11-15T12:00Z", "Pacific/Auckland", "2026-W46", ("2026-11-08T11:00Z", "2026-11-15T11:00Z")),
        ("last", "2026-11-15T12:00Z", "UTC", "2026-W45", ("2026-11-02T00:00Z", "2026-11-09T00:00Z")),
        # 2026 has a week 53, which ends in 2027.
        ("2026-W53", "2027-02-01T00:00Z", "UTC", "2026-W53", ("2026-12-28T00:00Z", "2027-01-04T00:00Z")),
        ("last", "2027-01-04T00:00Z", "UTC", "2026-W53", ("2026-12-28T00:00Z", "2027-01-04T00:00Z")),
        ("last", "2027-01-03T23:59Z", "UTC", "2026-W52", ("2026-12-21T00:00Z", "2026-12-28T00:00Z")),
        # Midnight of 2018-10-01 exists there, that of Sunday 2018-11-04 does not: the clocks skip it.
        ("2018-W44", "2026-01-01T00:00Z", "America/Sao_Paulo", "2018-W44", ("2018-10-29T03:00Z", "2018-11-05T02:00Z")),
    ],
)  # fmt: skip
def test_weeks_of_the_readers_zone(text, now, zone, name, bounds):
    assert week_of(text, at(now), ZoneInfo(zone)) == (name, *map(at, bounds))


def test_a_year_without_a_week_53_has_none():
    with pytest.raises(InputError, match="there is no week 2027-W53"):
        week_of("2027-W53", at("2030-01-01T00:00Z"))


@pytest.fixture
def servers():
    with mail_server() as mail, webhook_server() as hook:
        yield mail, hook


@pytest.fixture
def send(gpuwise, options, servers, monkeypatch, tmp_path):
    """Run `gpuwise report --send` with both servers configured."""
    mail, hook = servers
    secret = tmp_path / "webhook-url"
    secret.write_text(f"{hook.url}\n")
    given = {"HOST": "127.0.0.1", "PORT": str(mail.port), "TLS": "none", "SENDER": "gpuwise@example.com",
             "RECIPIENTS": "ana@example.com,ben@example.com"}  # fmt: skip
    for name, value in given.items():
        monkeypatch.setenv(f"GPUWISE_REPORT_EMAIL_{name}", value)
    monkeypatch.setenv("GPUWISE_REPORT_SLACK_WEBHOOK_URL_FILE", str(secret))
    return lambda *more: gpuwise("report", "--week", "2026-W43", *options, "--send", *more)


def test_the_report_is_sent_once(send, servers, gpuwise):
    mail, hook = servers
    done = send()
    assert done.code == 0, done.err
    assert done.out.startswith("# ")
    assert "email ana@example.com: sent" in done.err
    assert [one.recipient for one in mail.accepted] == ["ana@example.com", "ben@example.com"]
    (message,) = hook.posted
    assert message["blocks"][0]["text"]["text"].startswith("GPU waste W43: $")
    assert "&lt;!channel&gt;=1+1" in json.dumps(message)
    again = send()
    assert again.code == 0
    assert "2026-W43 was sent before" in again.err
    assert (len(mail.accepted), hook.requests) == (2, 1)
    assert send("--again").code == 0
    assert (len(mail.accepted), hook.requests) == (4, 2)
    shown = gpuwise("ledger", "show", "--kind", "delivery", "-o", "json")
    what = [one["what"] for one in shown.data]
    assert what[:2] == [f"report of 2026-W43 to email ana@example.com: {status}" for status in ("begun", "sent")]
    assert len(what) == 12
    assert PATH not in shown.out


def test_a_channel_that_fails_does_not_stop_the_other_one(send, servers):
    mail, hook = servers
    hook.answer(410, "channel_is_archived")
    mail.answer("BODY", "451 busy")
    done = send()
    assert done.code == 1
    assert len(mail.accepted) == 2
    assert done.err.splitlines()[-1].startswith("error: 1 of 3 deliveries failed (2 sent): slack webhook-")
    assert "Slack answered 410 channel_is_archived" in done.err
    assert PATH not in done.err
    assert send().code == 0
    assert (len(mail.accepted), len(hook.posted)) == (2, 1)


def test_a_week_that_has_not_ended_is_not_sent(gpuwise, options, servers, send):
    mail, hook = servers
    done = send("--week", "2026-W45")
    assert done.code == 1
    assert "the week 2026-W45 ends at 2026-11-09 00:00 in UTC, and it is sent once" in done.err
    assert (mail.accepted, hook.requests) == ([], 0)


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (("--send",), "--send: no channel is configured"),
        (("--again",), "--again has no meaning without --send"),
        (("--pdf",), "--pdf writes a file, and no folder is named"),
    ],
)
def test_flags_that_lack_something_are_an_error(gpuwise, options, flags, problem):
    done = gpuwise("report", *options, *flags)
    assert done.code == 1
    assert problem in done.err
    assert "Traceback" not in done.err


def test_without_chromium_a_pdf_is_an_error_with_a_hint(gpuwise, options, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    done = gpuwise("report", *options, "--output-dir", tmp_path / "out", "--pdf")
    assert done.code == 1
    assert "needs Chromium" in done.err
    assert "install Debian's package chromium" in done.err
    assert not (tmp_path / "out").exists()


def test_a_chromium_that_fails_is_an_error_with_its_reason(gpuwise, options, monkeypatch, tmp_path):
    program = tmp_path / "chromium"
    program.write_text("#!/bin/sh\necho 'no usable sandbox' >&2\nexit 1\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    done = gpuwise("report", "--week", "2026-W43", *options, "--output-dir", tmp_path / "out", "--pdf")
    assert done.code == 1
    assert "Chromium did not write" in done.err
    assert "no usable sandbox" in done.err
    assert (tmp_path / "out" / "gpuwise-2026-W43.html").exists()


def test_the_report_is_written_as_pdf(gpuwise, options, tmp_path):
    from gpuwise.delivery.pdf import installed

    try:
        installed()
    except InputError as error:
        pytest.skip(str(error))
    done = gpuwise("report", "--week", "2026-W43", *options, "--output-dir", tmp_path / "out", "--pdf")
    assert done.code == 0, done.err
    written = tmp_path / "out" / "gpuwise-2026-W43.pdf"
    content = written.read_bytes()
    assert content.startswith(b"%PDF-")
    assert content.rstrip().endswith(b"%%EOF")
    assert len(content) > 20_000
    assert done.out.strip() == str(tmp_path / "out" / "gpuwise-2026-W43.html")
    assert list(Path(tempfile.gettempdir()).glob("gpuwise-chromium-*")) == []
