"""A real Alertmanager for tests, on a random port with its own directory. Debian's 0.25 and 0.33 are tested."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.prometheus_server import free_port, poll, responds

ALERTMANAGER = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
NEEDS_ALERTMANAGER = pytest.mark.skipif(
    ALERTMANAGER is None, reason="Alertmanager is not installed: apt-get install prometheus-alertmanager"
)
NEEDS_AMTOOL = pytest.mark.skipif(
    shutil.which("amtool") is None, reason="amtool is not installed: apt-get install prometheus-alertmanager"
)


@contextmanager
def alertmanager(directory: Path, config: str) -> Iterator[str]:
    """An Alertmanager with this configuration; yields its address, host and port."""
    directory.mkdir(parents=True)
    (directory / "alertmanager.yml").write_text(config)
    address = f"127.0.0.1:{free_port()}"
    command = [
        str(ALERTMANAGER),
        f"--config.file={directory / 'alertmanager.yml'}",
        f"--storage.path={directory / 'data'}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
        "--log.level=warn",
    ]
    log = directory / "log"
    with log.open("w") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        try:
            poll(lambda: responds(f"http://{address}", process, log), what="Alertmanager getting ready")
            yield address
        finally:
            process.kill()
            process.wait()
