"""A real Ray, one per session: its start takes longer than any test, and two at once slow each other down."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.prometheus_server import free_port

STARTED = "Ray runtime started"
TRIES = 3
"""Ray gives a node 30 s to start, which two busy cores can exceed."""


@pytest.fixture(scope="session")
def ray_head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """HOST:PORT of a Ray with two CPUs on loopback; it requires the token that tests/conftest.py generates.

    Tests that use it are in xdist's group "ray", so that one worker starts one Ray.
    """
    log = tmp_path_factory.mktemp("ray") / "log"
    for _ in range(TRIES):
        with _head(log) as address:
            if address is not None:
                yield address
                return
    pytest.fail(f"Ray did not start in {TRIES} tries: {log.read_text()}")


@contextmanager
def _head(log: Path) -> Iterator[str | None]:
    """Start a head node and wait until it reports its start; None if it ended before."""
    port = free_port()
    command = [Path(sys.executable).with_name("ray"), "start", "--head", "--block", f"--port={port}"]
    flags = ["--num-cpus=2", "--include-dashboard=false", "--node-ip-address=127.0.0.1", "--disable-usage-stats"]
    env = os.environ | {"PYTHONUNBUFFERED": "1", "RAY_gcs_server_port_wait_time_s": "300"}
    with (
        log.open("a") as errors,
        subprocess.Popen([*command, *flags], env=env, stdout=subprocess.PIPE, stderr=errors, text=True) as head,
    ):
        try:
            assert head.stdout is not None
            started = any(STARTED in line for line in head.stdout)
            yield f"127.0.0.1:{port}" if started else None
        finally:
            head.send_signal(signal.SIGTERM)
            head.communicate()
