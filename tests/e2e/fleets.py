"""Fleets on the cluster under test with their recorded usage, as after some days of use."""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
from tests.e2e.conftest import gpu_node
from tests.series import BUSY_VALUES, IDLE_VALUES

from gpuwise.emulate import ADMIN_TOKEN
from gpuwise.model.usage import DeviceSeries, RecordedPod, Window
from gpuwise.sources.recording import RecordingWriter

NOW_S = 1_780_272_000  # 2026-06-01 00:00 UTC
STEP_S = 300


def listed(cluster, path):
    """Every object of a collection."""
    request = urllib.request.Request(cluster.url + path, headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)["items"]


def gpus(pod):
    """GPUs that a pod requests, in all containers."""
    limits = [(one.get("resources") or {}).get("limits") or {} for one in pod["spec"]["containers"]]
    return sum(int(one.get("nvidia.com/gpu", 0)) for one in limits)


@contextmanager
def recorded(start_cluster, objects, folder, *, days, now_s=NOW_S) -> Iterator:
    """A cluster with one node of 16 A100, and the recording of its usage up to `now_s`.

    Pods whose name starts with "busy" are busy, those with "one" use the first of their GPUs, all others are idle.
    """
    window = Window(now_s - days * 86_400, now_s, STEP_S)
    nodes = [gpu_node("node-0", gpus=16)]
    nodes[0]["metadata"]["labels"]["nvidia.com/gpu.count"] = "16"
    with start_cluster([*nodes, *objects], clock=lambda: float(window.start_s)) as cluster:
        writer, number = RecordingWriter(folder / "recording"), 0
        for pod in listed(cluster, "/api/v1/pods"):
            name, devices = pod["metadata"]["name"], []
            for at in range(gpus(pod)):
                number += 1
                busy = name.startswith("busy") or (name.startswith("one") and at == 0)
                values = BUSY_VALUES if busy else IDLE_VALUES
                samples = {signal: np.full(window.steps, value) for signal, value in values.items()}
                devices.append(DeviceSeries(name, f"GPU-{number}", 1.0, "A100-80GB", "node-0", samples))
            if devices:
                writer.append(RecordedPod(pod["metadata"]["namespace"], window, tuple(devices), None))
        yield cluster, folder / "recording"


@contextmanager
def idle_fleet(start_cluster, objects, folder, *, days):
    """As `recorded`, for tests that only read: the recording and a kubeconfig."""
    with recorded(start_cluster, objects, folder, days=days) as (cluster, recording):
        yield recording, cluster.write_kubeconfig(folder / "kubeconfig")


def options_of(recording, kubeconfig, days, now_s=NOW_S):
    """The options that read such a fleet."""
    return ("--recording", recording, "--kubeconfig", kubeconfig, "--look-back-h", days * 24, "--now", now_s)


@contextmanager
def reviewing(cluster, may: Callable[[dict[str, str]], bool]) -> Iterator[str]:
    """Proxy an API server and answer SelfSubjectAccessReviews by a rule; forward all other requests.

    Args:
        cluster: the server.
        may: whether a right, by its resourceAttributes, is granted.

    Yields:
        The URL to connect to.
    """

    class Proxy(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.path.endswith("/selfsubjectaccessreviews"):
                review = json.loads(body)
                allowed = may(review["spec"]["resourceAttributes"])
                return self._send(201, json.dumps(review | {"status": {"allowed": allowed}}).encode())
            headers = {key: self.headers[key] for key in ("Authorization", "Content-Type") if key in self.headers}
            request = urllib.request.Request(cluster.url + self.path, body or None, headers, method=self.command)
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    return self._send(answer.status, answer.read())
            except urllib.error.HTTPError as error:
                return self._send(error.code, error.read())

        do_GET = do_POST = do_PATCH = _answer  # noqa: N815 - the names that http.server calls

        def _send(self, code: int, body: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
