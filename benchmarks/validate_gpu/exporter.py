"""Starts the exporter as a process and scrapes it."""

import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

INTERVAL_S = 1.0
_READY_S = 60.0
_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Exporter:
    """A running exporter.

    Attributes:
        url: URL of its metrics.
        process: its process.
        ready_s: seconds from its start to its first sample of a device.
    """

    url: str
    process: "subprocess.Popen[str]"
    ready_s: float

    def scrape(self) -> dict[str, list[tuple[dict[str, str], float]]]:
        """All series by name: labels and value of each."""
        return parsed(_get(self.url))

    def value(self, name: str, **labels: str) -> float | None:
        """Value of the first series with this name and these labels; None if there is none."""
        rows = self.scrape().get(name, [])
        return next((value for found, value in rows if labels.items() <= found.items()), None)

    def resident_mib(self) -> float:
        """Resident memory of the process."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def cpu_s(self) -> float:
        """CPU time the process has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def exporting(*, user: int | None = None, extra: tuple[str, ...] = ()) -> Iterator[Exporter]:
    """Start the exporter with the driver's NVML.

    Args:
        user: user ID to run it as; None for the current user.
        extra: further command-line options.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    code = "from gpuwise.cli.main import main; main()"
    options = ["exporter", "--listen", f"127.0.0.1:{port}", "--interval", str(INTERVAL_S), *extra]
    start = time.monotonic()
    with subprocess.Popen([sys.executable, "-c", code, *options], text=True, user=user) as process:
        try:
            url = f"http://127.0.0.1:{port}/metrics"
            while "gpuwise_gpu_info" not in _get(url):
                if process.poll() is not None or time.monotonic() > start + _READY_S:
                    raise SystemExit(f"the exporter was not ready within {_READY_S:.0f} s; its output is above")
                time.sleep(0.05)
            yield Exporter(url, process, time.monotonic() - start)
        finally:
            process.terminate()


def parsed(text: str) -> dict[str, list[tuple[dict[str, str], float]]]:
    """Parse the Prometheus text format."""
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for name, labels, value in _SAMPLE.findall(text):
        found.setdefault(name, []).append((dict(_LABEL.findall(labels)), float(value)))
    return found


def _get(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return str(response.read().decode())
    except (urllib.error.URLError, OSError):
        return ""
