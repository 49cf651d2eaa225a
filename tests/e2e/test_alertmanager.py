"""A real Prometheus fires the chart's alert, a real Alertmanager sends it, and `gpuwise serve` runs a pass for it."""

import json
import os
import re
import signal
import subprocess
import time
import urllib.request
from contextlib import contextmanager

import yaml
from tests.alertmanager_server import NEEDS_ALERTMANAGER, alertmanager
from tests.api_requests import effects
from tests.cluster_under_test import NAMESPACE
from tests.conftest import REPOSITORY
from tests.e2e.conftest import GPUWISE, LEAD, gpu_node, of_namespace
from tests.e2e.test_serve import ask, idle_for_a_day, ready, recording
from tests.e2e.test_serve import service as serving_a_cluster
from tests.http_server import answering
from tests.prometheus_server import NEEDS_PROMETHEUS, free_port, poll, running

from gpuwise.collect.demo import demo
from gpuwise.collect.sampler import Sampler
from gpuwise.collect.serve.negotiation import Format
from gpuwise.collect.serve.page import Page
from gpuwise.emulate.objects import statefulset
from gpuwise.memory.ledger import SqliteLedger

__all__ = ["recording"]

TOKEN = "a-long-token"
LOST_AFTER_S = 160
"""The demo's card has fallen off the bus by then."""
EXAMPLE = REPOSITORY / "examples" / "alertmanager.yaml"
FILES = REPOSITORY / "helm" / "gpuwise" / "files"


def lost_gpu() -> bytes:
    """What a demo exporter serves that has run for `LOST_AFTER_S`."""
    behind_s = [LOST_AFTER_S]
    devices, attributor = demo()
    devices.clock = clock = lambda: time.time() - behind_s[0]
    sampler = Sampler(devices, attributor, interval_s=3_600, clock=clock)
    sampler.sample()
    behind_s[0] = 0
    sampler.sample()
    return Page(sampler, node="demo").plain()


@contextmanager
def service(recording, folder):
    """`gpuwise serve` whose schedule has the next pass in an hour; yields its URL, its log file and its process."""
    (folder / "token").write_text(TOKEN)
    ours = {
        "HOME": str(folder),
        "GPUWISE_LEDGER_PATH": str(folder / "ledger.db"),
        LEAD: NAMESPACE,
        "GPUWISE_SERVICE_ALERT_INTERVAL_S": "1",
    }
    address = f"127.0.0.1:{free_port()}"
    command = [GPUWISE, "serve", "--recording", recording, "--listen", address, "--token-file", folder / "token"]
    log_file = folder / "service.log"
    with log_file.open("w") as log, subprocess.Popen(command, env=os.environ | ours, stderr=log) as process:
        try:
            yield f"http://{address}", log_file, process
        finally:
            process.kill()


def rules(folder) -> str:
    """The chart's rules without their waiting times."""
    paths = []
    for name in ("recording.yaml", "alerts.yaml"):
        found = yaml.safe_load((FILES / name).read_text())
        for group in found["groups"]:
            for rule in group["rules"]:
                rule.pop("for", None)
        (folder / name).write_text(yaml.safe_dump(found))
        paths.append(str(folder / name))
    return json.dumps(paths)


def prometheus(exporter: str, receiver: str, folder) -> str:
    return f"""\
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: {rules(folder)}
alerting: {{alertmanagers: [{{static_configs: [{{targets: ["{receiver}"]}}]}}]}}
scrape_configs:
  - job_name: gpuwise-exporter
    honor_labels: true
    static_configs: [{{targets: ["{exporter}"]}}]
"""


def example(url: str, folder) -> str:
    """The example of the documentation, for this service and without its waiting times."""
    config = yaml.safe_load(EXAMPLE.read_text())
    (webhook,) = (one for receiver in config["receivers"] for one in receiver.get("webhook_configs", ()))
    webhook["url"] = f"{url}/api/v1/alerts"
    webhook["http_config"]["authorization"]["credentials_file"] = str(folder / "token")
    for route in (config["route"], *config["route"]["routes"]):
        route |= {"group_wait": "0s", "group_interval": "1s"}
    return yaml.safe_dump(config)


def asked_for(url):
    """The names of the alerts that asked for a pass."""
    return {alert["name"] for one in json.loads(ask(f"{url}/api/v1/alerts", TOKEN)) for alert in one["alerts"]}


def passes(url):
    (count,) = re.findall(
        r'^gpuwise_step_duration_seconds_count{step="pass"} (\S+)$', ask(f"{url}/metrics", TOKEN), re.MULTILINE
    )
    return float(count)


@NEEDS_PROMETHEUS
@NEEDS_ALERTMANAGER
def test_a_lost_gpu_makes_the_service_look_at_the_fleet_at_once(recording, tmp_path):
    page = lost_gpu()
    with (
        answering(lambda _: (200, page, {"Content-Type": Format.TEXT.value})) as exporter,
        service(recording, tmp_path) as (url, log_file, process),
    ):
        poll(lambda: ready(url, TOKEN), what="the first pass")
        poll(lambda: passes(url) == 1, what="the end of the first pass")
        assert asked_for(url) == set()
        with (
            alertmanager(tmp_path / "alertmanager", example(url, tmp_path)) as receiver,
            running(
                tmp_path / "prometheus", config=prometheus(exporter.removeprefix("http://"), receiver, tmp_path)
            ) as at,
        ):
            poll(lambda: "GpuwiseGpuLost" in asked_for(url), what="the notification of the alert")
            poll(lambda: passes(url) >= 2, what="the pass that it asked for")
            firing = json.loads(ask(f"{at}/api/v1/alerts"))["data"]["alerts"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
        text = log_file.read_text()
    with SqliteLedger(tmp_path / "ledger.db") as ledger:
        alerts = [alert for trigger in ledger.triggers() for alert in trigger.alerts]
        assert ledger.intents() == []
    lost = {(alert.labels["node"], alert.labels["gpu"]) for alert in alerts if alert.name == "GpuwiseGpuLost"}
    assert lost == {("demo", "4")}
    assert {one["labels"]["alertname"] for one in firing if one["labels"].get("gpu") == "4"} == {"GpuwiseGpuLost"}
    assert ("GpuwiseXidApplication", "13") in {(one["labels"]["alertname"], one["labels"].get("xid")) for one in firing}
    assert "alerts asked for this pass: " in text
    assert "Traceback" not in text


@NEEDS_PROMETHEUS
def test_policy_decides_and_never_the_alert(start_cluster, tmp_path):
    """In the mode `recommend` an alert that demands a change of an idle workload causes a pass, and no change."""
    fleet = [gpu_node("node-0"), of_namespace("sandbox"), statefulset("forgotten", namespace="sandbox")]
    demand = {
        "status": "firing",
        "labels": {"alertname": "Idle", "namespace": "sandbox", "statefulset": "forgotten", "action": "scale to 0"},
        "annotations": {"command": "gpuwise apply"},
        "fingerprint": "f1",
        "startsAt": "2026-06-01T10:00:00Z",
    }
    body = json.dumps({"version": "4", "alerts": [demand]}).encode()
    with (
        start_cluster(fleet) as cluster,
        running(tmp_path / "prometheus", series=idle_for_a_day(int(time.time()))) as at,
        serving_a_cluster(tmp_path, cluster, at) as (url, process, _),
    ):
        poll(lambda: ready(url), what="the first pass")
        request = urllib.request.Request(
            f"{url}/api/v1/alerts", data=body, headers={"Content-Type": "application/json"}, method="POST"
        )
        with urllib.request.urlopen(request, timeout=300) as answer:
            assert answer.status == 202
        poll(lambda: "Idle" in ask(f"{url}/api/v1/alerts"), what="the pass that the alert asked for")
        report = json.loads(ask(f"{url}/api/v1/report"))
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
        assert [request for request in cluster.requests if effects(request)] == []
    assert report["quality"]["measured"] == 1
    with SqliteLedger(tmp_path / "ledger.db") as ledger:
        (trigger,) = ledger.triggers()
        assert (ledger.intents(), ledger.directives()) == ([], [])
    assert trigger.alerts[0].labels == demand["labels"]
