"""A real Prometheus for tests: backfilled with OpenMetrics text, or scraping; on a random port with its own directory.

The first `prometheus` and `promtool` on PATH are used; tested with 2.42 and 3.5. A conftest imports the fixture with
`from tests.prometheus_server import start_prometheus`.
"""

import contextlib
import itertools
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

DEADLINE_S = 300.0
"""Longest wait for something quick on an idle machine: on a busy machine it can take minutes."""
NEEDS_PROMETHEUS = pytest.mark.skipif(
    not (shutil.which("prometheus") and shutil.which("promtool")),
    reason="prometheus and promtool are not installed: apt-get install prometheus",
)

StartPrometheus = Callable[..., str]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def poll(done: Callable[[], object], *, what: str, deadline_s: float = DEADLINE_S) -> None:
    """Check every 50 ms until the result is truthy; fail the test after the deadline."""
    end = time.monotonic() + deadline_s
    while not done():
        if time.monotonic() > end:
            pytest.fail(f"{what} did not happen within {deadline_s:.0f} s")
        time.sleep(0.05)


def openmetrics(name: str, labels: dict[str, str], samples: dict[float, float], *, kind: str = "gauge") -> str:
    """One series in OpenMetrics text; `samples` maps epoch seconds to values."""
    inside = ",".join(f'{key}="{value}"' for key, value in labels.items())
    lines = [f"{name}{{{inside}}} {value} {at}" for at, value in sorted(samples.items())]
    return "\n".join([f"# TYPE {name.removesuffix('_total') if kind == 'counter' else name} {kind}", *lines, ""])


@contextmanager
def running(
    directory: Path, *, series: str = "", config: str = "", flags: tuple[str, ...] = (), port: int | None = None
) -> Iterator[str]:
    """A Prometheus with `series` and `config`; yields its URL. A fixed port allows a restart at the same URL."""
    directory.mkdir(parents=True, exist_ok=True)
    data = directory / "data"
    if series:
        backfill(series, data)
    (directory / "prometheus.yml").write_text(config)
    port = port or free_port()
    url = f"http://127.0.0.1:{port}"
    command = [
        "prometheus",
        f"--config.file={directory / 'prometheus.yml'}",
        f"--storage.tsdb.path={data}",
        "--storage.tsdb.retention.time=20y",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
        *flags,
    ]
    with (directory / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            poll(lambda: responds(url, process, directory / "log"), what="Prometheus getting ready")
            yield url
        finally:
            process.kill()
            process.wait()


def backfill(series: str, data: Path) -> None:
    """Write OpenMetrics text into blocks; the hidden flag creates one block of 20 days instead of 240."""
    source = data.with_suffix(".om")
    source.write_text(series + "# EOF\n")
    command = ["promtool", "tsdb", "create-blocks-from", "--max-block-duration=486h", "openmetrics", source, data]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def responds(url: str, process: "subprocess.Popen[bytes]", log: Path) -> bool:
    """Check whether a server of the Prometheus project is ready; fail the test if it has ended."""
    if process.poll() is not None:
        pytest.fail(f"{url} ended: {log.read_text()}")
    with contextlib.suppress(urllib.error.URLError, OSError), urllib.request.urlopen(f"{url}/-/ready", timeout=30):
        return True
    return False


@pytest.fixture
def start_prometheus(tmp_path: Path) -> Iterator[StartPrometheus]:
    """Start a Prometheus as `running` does, each in a folder of its own; they are stopped at the end of the test."""
    folders = (tmp_path / f"prometheus{number or ''}" for number in itertools.count())
    with ExitStack() as stack:
        yield lambda **what: stack.enter_context(running(next(folders), **what))
