"""A real VictoriaMetrics for tests, on a random port with its own directory."""

import json
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.prometheus_server import free_port, poll

NEEDS_VICTORIA = pytest.mark.skipif(
    not shutil.which("victoria-metrics"),
    reason="victoria-metrics is not installed: apt-get install victoria-metrics",
)


@contextmanager
def victoria(directory: Path, *flags: str) -> Iterator[str]:
    """Run it with its default flags, apart from the retention and these; yields its URL."""
    address = f"127.0.0.1:{free_port()}"
    own = [f"-storageDataPath={directory / 'victoria'}", f"-httpListenAddr={address}", "-retentionPeriod=100y"]
    command = ["victoria-metrics", *own, *flags]
    with (directory / "victoria.log").open("w") as log, subprocess.Popen(command, stderr=log) as process:
        try:
            poll(lambda: _answers(f"http://{address}/health"), what="VictoriaMetrics getting ready")
            yield f"http://{address}"
        finally:
            process.kill()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def load(url: str, labels: Mapping[str, str], samples: Mapping[int, float]) -> None:
    """Import the samples of one series, by epoch seconds."""
    at_ms = [at * 1000 for at in samples]
    line = {"metric": dict(labels), "values": list(samples.values()), "timestamps": at_ms}
    with urllib.request.urlopen(f"{url}/api/v1/import", json.dumps(line).encode(), timeout=30):
        pass
    with urllib.request.urlopen(f"{url}/internal/force_flush", timeout=30):
        pass
