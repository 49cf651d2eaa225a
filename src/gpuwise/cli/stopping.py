"""Stopping a long-running command by a signal."""

import signal
import threading


def stopping() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set from now on, so that the current pass can finish."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop
