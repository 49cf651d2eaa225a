"""The open connections of the server, limited in number: at the limit, a new one replaces a slow one."""

import contextlib
import socket
import threading
import time
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Connection:
    """One open connection.

    Attributes:
        socket: the socket, or the TLS socket around it.
        address: of the client, without its port.
        since_s: when its last request arrived, or the connection before the first; monotonic.
        answering: whether a request is being answered.
    """

    socket: socket.socket
    address: str
    since_s: float = field(default_factory=time.monotonic)
    answering: bool = False

    def begin(self) -> None:
        """Note that a request has arrived, and is being answered."""
        self.answering, self.since_s = True, time.monotonic()

    def end(self) -> None:
        """Note that the answer has reached the client; the connection waits for the next request."""
        self.answering = False

    def close(self) -> None:
        """End the connection; a thread that waits for its data continues with an end of file."""
        with contextlib.suppress(OSError):  # the client was faster
            self.socket.shutdown(socket.SHUT_RDWR)


class Connections:
    """Admits connections up to a limit, overall and per address.

    At the limit, a new connection replaces the one whose last request is the longest ago, of the same address if that
    has reached its own limit. So clients that send nothing, or one byte at a time, cannot keep others out. A connection
    that is being answered is replaced after `answer_s`; or before, if no other can be, from the address that has the
    most: an answer takes milliseconds, so 128 that are not finished are those of clients that do not read.

    Args:
        most: maximum number of open connections.
        most_per_address: maximum number of one client address.
        answer_s: longest time for an answer to reach its client.
    """

    def __init__(self, *, most: int, most_per_address: int, answer_s: float) -> None:
        self._most = most
        self._most_per_address = most_per_address
        self._answer_s = answer_s
        self._lock = threading.Lock()
        self._open: set[Connection] = set()

    def admit(self, connection: Connection) -> None:
        """Admit a connection, and close another one if there are too many."""
        with self._lock:
            same = [one for one in self._open if one.address == connection.address]
            if len(same) >= self._most_per_address:
                self._replace(same)
            elif len(self._open) >= self._most:
                self._replace(self._open)
            self._open.add(connection)

    def leave(self, connection: Connection) -> None:
        """Forget a connection that has ended."""
        with self._lock:
            self._open.discard(connection)

    def _replace(self, among: Collection[Connection]) -> None:
        now_s = time.monotonic()
        waiting = [one for one in among if not one.answering or now_s - one.since_s > self._answer_s]
        oldest = min(waiting or _of_busiest_address(among), key=lambda one: one.since_s)
        self._open.discard(oldest)
        oldest.close()


def _of_busiest_address(among: Collection[Connection]) -> list[Connection]:
    """The connections of each address that has as many as any other."""
    numbers = Counter(one.address for one in among)
    most = max(numbers.values())
    return [one for one in among if numbers[one.address] == most]
