"""Plays a case of ../shared/cases/reading: its series in a real Prometheus, its objects behind a static Kubernetes API.

As the cases' own player, with the same times: a value per step for some days up to a noon, read in whole days of UTC.
"""

import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.given_cases import given_case
from tests.prometheus_server import StartPrometheus

from gpuwise.sources.kubernetes.listings import COLLECTIONS, VOLUME_COLLECTIONS

Object = dict[str, Any]

END_S = 1_780_056_000  # 2026-05-29 12:00 UTC
DAYS = 4
STEP_S = 300
_TIMES = ("--look-back-h", DAYS * 24, "--now", END_S)
_SERIES = re.compile(r"(?P<series>\S.*\}) (?P<start>[^+\s]+)(?:\+(?P<rate>\S+)/s)?$")


def series_of(lines: Iterable[str]) -> str:
    """OpenMetrics text of lines `name{labels} value`; a counter is `name{labels} START+RATE/s`."""
    found = [match for line in lines if (match := _SERIES.match(line))]
    first_s = END_S - DAYS * 86_400
    return "".join(
        f"{one['series']} {float(one['start']) + float(one['rate'] or 0) * (at - first_s)} {at}\n"
        for one in found
        for at in range(first_s, END_S, STEP_S)
    )


@contextmanager
def static_api(objects: Iterable[Object]) -> Iterator[str]:
    """A Kubernetes API that serves these objects as they are, no custom resources, and grants every right."""
    kinds = {path: kind for kind, path in (COLLECTIONS | VOLUME_COLLECTIONS).items()}
    listed = list(objects)

    class Api(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/version":
                return self._send(200, {"major": "1", "minor": "33", "gitVersion": "v1.33.0"})
            if path not in kinds:
                return self._send(404, {"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404})
            items = [one for one in listed if one["kind"] == kinds[path]]
            return self._send(200, {"kind": "List", "metadata": {"resourceVersion": "1"}, "items": items})

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._send(201, asked | {"status": {"allowed": True}})

        def _send(self, code: int, answer: object) -> None:
            body = json.dumps(answer).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Do not log requests."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def kubeconfig(url: str, file: Path) -> Path:
    """Write a kubeconfig for an API without TLS."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "case", "cluster": {"server": url}}],
        "users": [{"name": "case", "user": {"token": "any"}}],
        "contexts": [{"name": "case", "context": {"cluster": "case", "user": "case"}}],
        "current-context": "case",
    }
    file.write_text(json.dumps(config))
    return file


@dataclass(frozen=True)
class Case:
    """A case that is being played.

    Attributes:
        run: runs a command of gpuwise with the options that read the case.
    """

    run: Callable[..., Any]

    def try_scan(self, **more: Any) -> Any:
        """Run `gpuwise scan -o json`, whatever its exit code."""
        return self.run("scan", *_TIMES, "-q", "-o", "json", **more)

    def scan(self, **more: Any) -> "Scan":
        """What `gpuwise scan -o json` reports."""
        return Scan(self.try_scan(**more).data)


@dataclass(frozen=True)
class Scan:
    """The report of a scan."""

    data: Any

    def hours(self) -> dict[str, float]:
        """GPU-hours of the fleet by class, without the classes that are 0."""
        bill = {
            key.removesuffix("_gpu_s"): round(v / 3600, 1) for key, v in self.data["bill"].items() if "gpu_s" in key
        }
        return {name: hours for name, hours in bill.items() if hours}

    def workload(self) -> Any:
        """The only workload of the report."""
        (one,) = self.data["workloads"]
        return one

    def recommended(self) -> list[tuple[str, str, Any]]:
        """Finding, object and change of each recommendation."""
        found = self.data["recommendations"]
        return [(one["finding"], one["workload"]["name"], one["change"]) for one in found]

    def blocked(self, stage: str) -> dict[str, tuple[str, str]]:
        """By object: reason and detail of a stage that recommends nothing."""
        found = [one for one in self.data["holds"] if one["stage"] == stage]
        return {one["workload"]["name"]: (one["reason"], one["detail"]) for one in found}


@contextmanager
def played(
    name: str, gpuwise: Callable[..., Any], start_prometheus: StartPrometheus, folder: Path, more: Iterable[str] = ()
) -> Iterator[Case]:
    """A case, readable by gpuwise.

    Args:
        name: of the case.
        gpuwise: the fixture.
        start_prometheus: the fixture.
        folder: for the kubeconfig.
        more: further series, in the notation of the case.
    """
    case = given_case("reading", name)
    lines = [*(case / "series.prom").read_text().splitlines(), *more]
    prometheus = start_prometheus(series=series_of(lines))
    with static_api(json.loads((case / "inventory.json").read_text())["items"]) as url:
        options = ("--prometheus", prometheus, "--kubeconfig", kubeconfig(url, folder / "kubeconfig"))
        yield Case(lambda command, *given, **how: gpuwise(command, *options, *given, **how))
