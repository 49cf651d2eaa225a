"""docs/operations.md is this test's script: each command is run, and each output that the page shows is compared.

The comment "pass" marks in the page where the service makes a pass, "incident" where its change breaks something. The
configuration is what the chart renders from the page's own values.
"""

import json
import os
import re
import shlex
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread, Timer

import pytest
import yaml
from tests.cluster_under_test import KUBECONFIG
from tests.conftest import REPOSITORY
from tests.e2e.conftest import AT_ONCE, GPUWISE, LEAD, OURS, gpu_node, of_namespace
from tests.e2e.fleets import gpus, listed
from tests.helm.conftest import Helm, fetch
from tests.postgresql_server import PASSWORD, postgresql_server
from tests.prometheus_server import DEADLINE_S, NEEDS_PROMETHEUS, start_prometheus

from gpuwise.emulate import ADMIN_TOKEN
from gpuwise.emulate.objects import deployment, pod_spec

__all__ = ["postgresql_server", "start_prometheus"]

pytestmark = NEEDS_PROMETHEUS

PAGE = (REPOSITORY / "docs" / "operations.md").read_text()
PART = re.compile(r"^```(?P<form>\w+)\n(?P<text>.*?)^```$|^<!-- (?P<event>\w+) -->$", re.DOTALL | re.MULTILINE)
STEP_S = 300
IDLE = {"DCGM_FI_DEV_GPU_UTIL": 0, "DCGM_FI_DEV_POWER_USAGE": 61, "DCGM_FI_DEV_FB_USED": 20_000}
BUSY = {"DCGM_FI_DEV_GPU_UTIL": 93, "DCGM_FI_DEV_POWER_USAGE": 331, "DCGM_FI_DEV_FB_USED": 60_000}
NORMAL, WITHOUT_FALLBACK = 0.002, 0.04
FASTER = AT_ONCE | {
    "GPUWISE_ENACT_WATCH_SECONDS": "1",  # 600 in the page
    "GPUWISE_POLICY_BUDGETS": '{"namespace/*": {"disruptions": 1, "per_s": 1}}',  # 600 s in the page
}
GRANTS = {"ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}
# What differs from run to run: ids, and the rows of the ledger with their times.
ID = re.compile(r"\b[ra]-[0-9a-f]{10}\b")
VARIES = re.compile(r"(\d+ +)?\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


def parts() -> Iterator[tuple[str, str]]:
    """The fenced blocks by their language, and the events, in the order of the page."""
    for found in PART.finditer(PAGE):
        yield (found["form"], found["text"]) if found["form"] else ("event", found["event"])


@dataclass
class Session:
    """The ids of the page and those of this run: an output that the page shows tells which is which."""

    ids: dict[str, str] = field(default_factory=dict)

    def compare(self, excerpt: str, output: str) -> None:
        """Each line of an excerpt is a line of the output, in the same order.

        In the page "..." stands for other lines, and "…" for a part of a line.
        """
        lines = iter(output.splitlines())
        for wanted in filter(None, map(str.strip, excerpt.splitlines())):
            if wanted != "..." and not any(self._same(wanted, line) for line in lines):
                pytest.fail(f"the page shows the line\n{wanted}\nand the command printed\n{output}")

    def _same(self, wanted: str, line: str) -> bool:
        pattern = re.escape(" ".join(VARIES.sub("WHEN", wanted).split())).replace("…", ".*")
        named = ID.findall(wanted)
        for one in named:
            pattern = pattern.replace(re.escape(one), self.ids.get(one) or f"({ID.pattern})", 1)
        found = re.fullmatch(pattern, " ".join(VARIES.sub("WHEN", line).split()))
        if found is None:
            return False
        new = dict.fromkeys(one for one in named if one not in self.ids)
        self.ids |= dict(zip(new, found.groups(), strict=False))
        return True

    def command(self, line: str) -> str:
        """A command of the page with the ids of this run."""
        return ID.sub(lambda one: self.ids[one[0]], line)


def samples(cluster, now_s: int) -> str:
    """Ten days of DCGM's metrics: the pods of "chat" are busy, the others idle."""
    pods = [pod for pod in listed(cluster, "/api/v1/pods") for _ in range(gpus(pod))]
    rows = []
    for metric in IDLE:
        rows.append(f"# TYPE {metric} gauge\n")
        for number, pod in enumerate(pods):
            name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
            value = (BUSY if name.startswith("chat") else IDLE)[metric]
            labels = f'gpu="{number}",UUID="GPU-{number}",modelName="NVIDIA A100-SXM4-80GB"'
            labels += f',namespace="{namespace}",pod="{name}"'
            rows += [f"{metric}{{{labels}}} {value} {at}\n" for at in range(now_s - 864_000, now_s + 60, STEP_S)]
    return "".join(rows)


@contextmanager
def gateway(cluster) -> Iterator[str]:
    """An exporter of the gateway's errors: they rise while llm-fallback has no replicas. Yields its address."""

    class Exporter(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = listed(cluster, "/apis/apps/v1/namespaces/sandbox/deployments")
            (fallback,) = (one for one in found if one["metadata"]["name"] == "llm-fallback")
            ready = fallback["spec"]["replicas"] > 0
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.end_headers()
            self.wfile.write(f"gateway_error_ratio {NORMAL if ready else WITHOUT_FALLBACK}\n".encode())

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Exporter)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Day:
    """Runs the parts of the page against a cluster.

    Args:
        cluster: the cluster under test.
        folder: for files.
        gpuwise: runs an operator's command.
        env: variables of gpuwise.
    """

    def __init__(self, cluster, folder, gpuwise, env: dict[str, str]) -> None:
        self.cluster, self.folder, self.gpuwise, self.env = cluster, folder, gpuwise, env
        self.session, self.output = Session(), ""
        self.rendered: dict[str, dict] = {}

    def do(self, form: str, text: str) -> None:
        match form:
            case "yaml":
                (self.folder / "values.yaml").write_text(text)
            case "text":
                self.session.compare(text, self.output)
            case "event":
                {"pass": self.service_pass, "incident": self.incident}[text]()
            case "sh":
                self.output = "".join(self.typed(line) for line in text.splitlines())

    def typed(self, line: str) -> str:
        words = shlex.split(line, comments=True)
        match words[0]:
            case "export":
                assert words[1].split("=")[0] in self.env, f"the test does not set {words[1]}"
                return ""
            case "helm":
                return self.install(words)
            case "kubectl":
                return self.kubectl(words[1:], line)
        assert words[0] == "gpuwise", line
        sure = ["--yes"] if words[1] == "undo" else []  # the test has no terminal to ask
        done = self.gpuwise(*self.words(self.session.command(line))[1:], *sure)
        assert done.code == 0, (line, done)
        return done.out + done.err

    def words(self, line: str) -> list[str]:
        """The words of a command as the shell passes them: `$(date)` is what it prints."""
        done = subprocess.run(["bash", "-c", f"printf '%s\\0' {line}"], capture_output=True, text=True, check=True)
        return done.stdout.split("\0")[:-1]

    def install(self, words: list[str]) -> str:
        """Render the release that the command installs; a real server gets its identities and roles."""
        assert words[:4] == ["helm", "install", "gpuwise", "helm/gpuwise"]
        rest = [word for word in words[4:] if word != "--create-namespace"]
        rest[rest.index("-f") + 1] = str(self.folder / rest[rest.index("-f") + 1])
        done = Helm(fetch("4")).run("template", "gpuwise", REPOSITORY / "helm" / "gpuwise", *rest)
        assert done.returncode == 0, done.stderr
        objects = [one for one in yaml.safe_load_all(done.stdout) if one]
        self.rendered = {one["metadata"]["name"]: one for one in objects if one["kind"] == "ConfigMap"}
        if KUBECONFIG is not None:
            self.cluster.load(*(one for one in objects if one["kind"] in GRANTS))
        return ""

    def kubectl(self, words: list[str], line: str) -> str:
        """Send the request that kubectl sends: kubectl itself gives no token to a server without TLS, as this is."""
        match words:
            case ["-n", "gpuwise", "get", "configmap", name, *_]:
                (self.folder / line.split("> ")[1]).write_text(self.rendered[name]["data"]["gpuwise.yaml"])
            case ["label", "namespace", name, value]:
                self.merge(f"/api/v1/namespaces/{name}", "labels", value)
            case ["annotate", "deployment", name, "-n", namespace, value]:
                self.merge(f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}", "annotations", value)
            case ["create", "configmap", name, "-n", namespace]:
                body = {"metadata": {"name": name}}
                self.ask("POST", f"/api/v1/namespaces/{namespace}/configmaps", body, "application/json")
            case ["delete", "configmap", name, "-n", namespace]:
                self.ask("DELETE", f"/api/v1/namespaces/{namespace}/configmaps/{name}")
            case _:
                pytest.fail(f"the test does not know what kubectl sends for: {line}")
        return ""

    def merge(self, path: str, place: str, text: str) -> None:
        key, value = text.split("=")
        self.ask("PATCH", path, {"metadata": {place: {key: value}}}, "application/merge-patch+json")

    def ask(self, method: str, path: str, body: object = None, form: str = "") -> None:
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}", "Content-Type": form or "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.cluster.url + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            answer.read()

    def environment(self) -> dict[str, str]:
        """The environment of the service: a real server checks its rights, which are the chart's."""
        env = {name: value for name, value in os.environ.items() if not name.startswith(OURS)} | self.env
        if KUBECONFIG is not None:
            token = self.cluster.token("gpuwise", "gpuwise-service")
            env["GPUWISE_KUBERNETES_KUBECONFIG"] = str(self.cluster.write_kubeconfig(self.folder / "own", token=token))
        return env

    def service_pass(self) -> None:
        """What the service does each hour."""
        subprocess.run([GPUWISE, "run", "--once"], env=self.environment(), check=True, timeout=300)
        self.cluster.settle()

    def incident(self) -> None:
        """The service makes a pass and goes on; 15 s later it looks again, and sees the gateway's errors."""
        environment = self.environment() | {"GPUWISE_ENACT_WATCH_SECONDS": "600"}
        command = [GPUWISE, "run", "--interval", "3600"]
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as service:
            late = Timer(DEADLINE_S, service.kill)
            late.start()
            assert service.stderr is not None
            seen = next((line for line in service.stderr if "reverted" in line), None)
            late.cancel()
            service.terminate()
        assert seen is not None, "it was not reverted, or the service ended"


@pytest.fixture
def day(start_cluster, start_prometheus, postgresql_server, gpuwise, monkeypatch, tmp_path):
    fleet = [gpu_node("a100-0"), of_namespace("gpuwise"), *map(of_namespace, ("search", "sandbox", "prod"))]
    fleet += [
        deployment("chat", namespace="prod"),
        deployment("reranker", namespace="search"),
        # A pass takes the largest saving first: of this namespace, these three in this order.
        deployment("demo", namespace="sandbox", spec=pod_spec(gpus=3)),
        deployment("llm-fallback", namespace="sandbox", spec=pod_spec(gpus=2)),
        deployment("whisper", namespace="sandbox"),
    ]
    secret = tmp_path / "password"
    secret.write_text(PASSWORD)
    secret.chmod(0o600)
    with start_cluster(fleet) as cluster, gateway(cluster) as exporter:
        scrape = {"job_name": "gateway", "scrape_interval": "1s", "static_configs": [{"targets": [exporter]}]}
        prometheus = start_prometheus(
            series=samples(cluster, int(time.time())), config=yaml.safe_dump({"scrape_configs": [scrape]})
        )
        kubeconfig = cluster.write_kubeconfig(tmp_path / "kubeconfig")
        env = FASTER | {
            "GPUWISE_KUBERNETES_KUBECONFIG": str(kubeconfig),
            "GPUWISE_CONFIG": str(tmp_path / "gpuwise.yaml"),
            "GPUWISE_KUBERNETES_CONTEXT": yaml.safe_load(kubeconfig.read_text())["current-context"],
            "GPUWISE_PROMETHEUS_URL": prometheus,
            "GPUWISE_LEDGER_URL": postgresql_server.new_schema(),
            "GPUWISE_LEDGER_PASSWORD_FILE": str(secret),
            LEAD: "gpuwise",
        }
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        yield Day(cluster, tmp_path, gpuwise, env)


def test_the_day_goes_as_the_page_shows(day):
    for form, text in parts():
        day.do(form, text)
    found = listed(day.cluster, "/apis/apps/v1/deployments")
    replicas = {one["metadata"]["name"]: one["spec"]["replicas"] for one in found}
    assert replicas == {"chat": 1, "reranker": 1, "demo": 0, "llm-fallback": 1, "whisper": 1}
