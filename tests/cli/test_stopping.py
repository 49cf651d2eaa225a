"""Signals stop a long-running command, however many arrive at once."""

import signal
import subprocess
import sys

import pytest

WAITS = """
from gpuwise.cli.stopping import stopping
stop = stopping()
print("ready", flush=True)
while not stop.wait(0.0001):
    pass
print("stopped", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_burst_of_signals_stops_the_command(number: signal.Signals):
    """A supervisor and its process group both forward a signal; a person presses Ctrl-C twice."""
    with subprocess.Popen([sys.executable, "-c", WAITS], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        for _ in range(500):
            process.send_signal(number)
        try:
            written, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, written) == (0, "stopped\n")
