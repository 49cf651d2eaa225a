"""End this process, whatever it is doing."""

import os
import signal
import sys
from contextlib import suppress

EXIT_CODE = 75
"""EX_TEMPFAIL: the process may be started again."""


def end_process(why: str) -> None:
    """End this process now: no cleanup, no other thread runs on.

    Args:
        why: written to stderr.
    """
    with suppress(OSError):
        os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, f"gpuwise: {why}\n".encode())
    os._exit(EXIT_CODE)


def arm(seconds: float) -> None:
    """Let the kernel end this process by SIGALRM, exit code 142, unless this is called again before.

    It needs no thread of Python to run: it also works if one holds the interpreter's lock, and a process that was
    stopped by SIGSTOP is ended when it goes on, before it runs.

    Args:
        seconds: from now; 0 disarms.
    """
    signal.setitimer(signal.ITIMER_REAL, seconds)
