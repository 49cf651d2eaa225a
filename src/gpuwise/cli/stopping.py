"""Stopping a long-running command by a signal."""

import atexit
import signal
import socket
import threading

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def stopping() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set from now on, so that the current pass can finish.

    A handler that set the event itself could interrupt the main thread, or another handler, while that holds the
    event's lock, and would wait for it forever. So a thread sets it when the interpreter notes a signal.
    """
    stop = threading.Event()
    noted, note = socket.socketpair()
    note.setblocking(False)
    signal.set_wakeup_fd(note.fileno(), warn_on_full_buffer=False)
    for number in _SIGNALS:
        signal.signal(number, lambda *_: None)
    # While the interpreter ends, Python restores the default action of a handler, but not of a signal that is ignored:
    # one more signal would then kill the process, although its work is done.
    atexit.register(_ignore)
    threading.Thread(target=_set_on_signal, args=(stop, noted, note), name="signals", daemon=True).start()
    return stop


def _ignore() -> None:
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _set_on_signal(stop: threading.Event, noted: socket.socket, _kept_open: socket.socket) -> None:
    while noted.recv(1)[0] not in _SIGNALS:
        pass
    stop.set()
