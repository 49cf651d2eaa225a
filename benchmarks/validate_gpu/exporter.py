"""The exporter as a process, and what it says."""

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
    """One that runs.

    Attributes:
        url: of its metrics.
        process: it.
        ready_s: from its start to its first sample of a device.
    """

    url: str
    process: "subprocess.Popen[str]"
    ready_s: float

    def scrape(self) -> dict[str, list[tuple[dict[str, str], float]]]:
        """All series: labels and value, by name."""
        return parsed(_get(self.url))

    def value(self, name: str, **labels: str) -> float | None:
        """The first series of a name with these labels."""
        rows = self.scrape().get(name, [])
        return next((value for have, value in rows if labels.items() <= have.items()), None)

    def resident_mib(self) -> float:
        """Memory that it holds."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def cpu_s(self) -> float:
        """Processor time that it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def exporting(*, user: int | None = None, extra: tuple[str, ...] = ()) -> Iterator[Exporter]:
    """Start the exporter on the real NVML.

    Args:
        user: whose rights it has, None for ours.
        extra: options.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    code = "from gpuwise.cli.main import main; main()"
    options = ["exporter", "--listen", f"127.0.0.1:{port}", "--interval", str(INTERVAL_S), *extra]
    began = time.monotonic()
    with subprocess.Popen([sys.executable, "-c", code, *options], text=True, user=user) as process:
        try:
            url = f"http://127.0.0.1:{port}/metrics"
            while "gpuwise_gpu_info" not in _get(url):
                if process.poll() is not None or time.monotonic() > began + _READY_S:
                    raise SystemExit(f"the exporter did not get ready within {_READY_S:.0f} s; its own words are above")
                time.sleep(0.05)
            yield Exporter(url, process, time.monotonic() - began)
        finally:
            process.terminate()


def parsed(text: str) -> dict[str, list[tuple[dict[str, str], float]]]:
    """Prometheus' text form."""
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for name, labels, value in _SAMPLE.findall(text):
        found.setdefault(name, []).append((dict(_LABEL.findall(labels)), float(value)))
    return found


def _get(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return str(answer.read().decode())
    except (urllib.error.URLError, OSError):
        return ""
