"""One unary gRPC call over a unix socket, by `h2`.

The protocol: github.com/grpc/grpc, doc/PROTOCOL-HTTP2.md. The exporter makes one small call per sweep; for that, grpcio
takes 18 to 21 MiB of memory in a process, and h2 less than 1 MiB.
"""

import contextlib
import socket
import struct
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from urllib.parse import unquote

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import ProtocolError

_CHUNK_BYTES = 2**16
# One byte that tells whether the message is compressed, and its length.
_PREFIX = struct.Struct(">BI")


class Status(IntEnum):
    """The status codes of gRPC (doc/statuscodes.md)."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


# doc/PROTOCOL-HTTP2.md, "Errors"; every other code is INTERNAL.
_RESETS = {
    ErrorCodes.REFUSED_STREAM: Status.UNAVAILABLE,
    ErrorCodes.CANCEL: Status.CANCELLED,
    ErrorCodes.ENHANCE_YOUR_CALM: Status.RESOURCE_EXHAUSTED,
    ErrorCodes.INADEQUATE_SECURITY: Status.PERMISSION_DENIED,
}
# doc/http-grpc-status-mapping.md, for an answer without a gRPC status; every other HTTP status is UNKNOWN there. A 200
# without a gRPC status is INTERNAL here: UNKNOWN is what a kubelet returns for a pod that does not exist.
_HTTP_STATUS = {
    b"200": Status.INTERNAL,
    b"400": Status.INTERNAL,
    b"401": Status.UNAUTHENTICATED,
    b"403": Status.PERMISSION_DENIED,
    b"404": Status.UNIMPLEMENTED,
    **dict.fromkeys((b"429", b"502", b"503", b"504"), Status.UNAVAILABLE),
}


class CallFailed(Exception):
    """The call did not return a message.

    Args:
        status: of the server, or the one that gRPC defines for a failure of the connection.
        reason: what happened.
    """

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(f"{status.name}: {reason}")
        self.status = status


def unary(path: Path, method: str, request: bytes, *, timeout_s: float, most_bytes: int) -> bytes:
    """Return the answer of a unary method.

    Each call has its own connection, so that a server that restarted is reached by the next call.

    Args:
        path: the server's unix socket.
        method: "/package.Service/Method".
        request: the serialised message; at most 16 KiB, the smallest frame size of HTTP/2.
        timeout_s: deadline of the whole call, including the connection.
        most_bytes: maximum size of the answer.

    Raises:
        CallFailed: the server cannot be reached, did not answer in time, or returned an error.
    """
    deadline_s = time.monotonic() + timeout_s
    try:
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as server:
            server.settimeout(timeout_s)
            server.connect(str(path))
            return _exchanged(server, _requested(method, request, timeout_s), deadline_s, _Answer(most_bytes))
    except TimeoutError as error:
        raise CallFailed(Status.DEADLINE_EXCEEDED, f"no answer in {timeout_s:g} s") from error
    except (OSError, ProtocolError) as error:
        raise CallFailed(Status.UNAVAILABLE, str(error) or type(error).__name__) from error


def _requested(method: str, request: bytes, timeout_s: float) -> H2Connection:
    """A connection with the request in its output."""
    channel = H2Connection(H2Configuration(client_side=True))
    channel.initiate_connection()
    headers = (
        (":method", "POST"),
        (":scheme", "http"),
        (":path", method),
        (":authority", "localhost"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("grpc-timeout", f"{max(1, round(timeout_s * 1e3))}m"),
    )
    stream = channel.get_next_available_stream_id()
    channel.send_headers(stream, headers)
    channel.send_data(stream, _PREFIX.pack(0, len(request)) + request, end_stream=True)
    return channel


def _exchanged(server: socket.socket, channel: H2Connection, deadline_s: float, answer: "_Answer") -> bytes:
    """Send and receive until the answer is complete."""
    while True:
        server.settimeout(_left_s(deadline_s))
        server.sendall(channel.data_to_send())
        server.settimeout(_left_s(deadline_s))
        received = server.recv(_CHUNK_BYTES)
        if not received:
            raise CallFailed(Status.UNAVAILABLE, "the server closed the connection")
        for stream, consumed in answer.taken(channel.receive_data(received)):
            channel.acknowledge_received_data(consumed, stream)
        if answer.complete:
            return answer.message()


def _left_s(deadline_s: float) -> float:
    left_s = deadline_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return left_s


@dataclass(slots=True)
class _Answer:
    """An answer as it arrives.

    Attributes:
        most_bytes: maximum size of its message.
        headers: headers and trailers; an error may have headers alone.
        body: the message with its prefix.
        complete: whether the stream has ended.
    """

    most_bytes: int
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    complete: bool = False

    def taken(self, events: Iterable[Event]) -> Iterator[tuple[int, int]]:
        """Add what arrived; yields stream and number of bytes to acknowledge, so that the server may send more.

        Raises:
            CallFailed: the server ended the call or the connection, or the message is too long.
        """
        for event in events:
            if isinstance(event, ResponseReceived | TrailersReceived):
                self.headers.update(event.headers)
            elif isinstance(event, DataReceived):
                self._add(event.data)
                yield event.stream_id, event.flow_controlled_length
            elif isinstance(event, StreamEnded):
                self.complete = True
                return
            elif isinstance(event, StreamReset):
                raise CallFailed(_reset(event), f"the server reset the stream with code {event.error_code}")
            elif isinstance(event, ConnectionTerminated):
                # The server stops. h2 accepts no frame after this one, also where the server would finish the call.
                raise CallFailed(Status.UNAVAILABLE, f"the server ends the connection with code {event.error_code}")

    def _add(self, data: bytes) -> None:
        self.body += data
        if len(self.body) >= _PREFIX.size:
            length = max(_PREFIX.unpack_from(self.body)[1], len(self.body) - _PREFIX.size)
            if length > self.most_bytes:
                raise CallFailed(Status.RESOURCE_EXHAUSTED, f"the message has more than {self.most_bytes} bytes")

    def message(self) -> bytes:
        """The message of a complete answer.

        Raises:
            CallFailed: the server returned an error, or no message.
        """
        status = self._status()
        if status is not Status.OK:
            raise CallFailed(status, unquote(self.headers.get(b"grpc-message", b"").decode("ascii", "replace")))
        if len(self.body) < _PREFIX.size:
            raise CallFailed(Status.INTERNAL, "the answer has no message")
        compressed, length = _PREFIX.unpack_from(self.body)
        if compressed or length != len(self.body) - _PREFIX.size:
            raise CallFailed(Status.INTERNAL, "the answer is not one uncompressed message")
        return bytes(memoryview(self.body)[_PREFIX.size :])

    def _status(self) -> Status:
        text = self.headers.get(b"grpc-status")
        if text is None:
            return _HTTP_STATUS.get(self.headers.get(b":status", b""), Status.UNKNOWN)
        try:
            return Status(int(text))
        except ValueError:  # a code that gRPC does not define
            return Status.UNKNOWN


def _reset(event: StreamReset) -> Status:
    code = event.error_code
    return _RESETS.get(code, Status.INTERNAL) if isinstance(code, ErrorCodes) else Status.INTERNAL
