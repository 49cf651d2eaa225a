"""The gRPC client: against grpcio's server, and against servers that break off, hang or violate the protocol."""

import socket as sockets
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import StreamEnded

from gpuwise.collect.attribution.unary import CallFailed, Status, unary

METHOD = "/test.Service/Method"
MOST_BYTES = 16 * 2**20
Handler = Callable[[bytes, grpc.ServicerContext], bytes]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "server.sock"


def call(path: Path, request: bytes = b"", *, method: str = METHOD, timeout_s: float = 30.0) -> bytes:
    return unary(path, method, request, timeout_s=timeout_s, most_bytes=MOST_BYTES)


def status(path: Path, **more: Any) -> Status:
    with pytest.raises(CallFailed) as caught:
        call(path, **more)
    return caught.value.status


# grpcio's server


@contextmanager
def grpcio(path: Path, handler: Handler) -> Iterator[None]:
    unlimited = [("grpc.max_send_message_length", -1)]
    server = grpc.server(futures.ThreadPoolExecutor(1), options=unlimited)
    methods = {"Method": grpc.unary_unary_rpc_method_handler(handler)}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("test.Service", methods)])
    server.add_insecure_port(f"unix://{path}")
    server.start()
    try:
        yield
    finally:
        server.stop(grace=None).wait()


@pytest.mark.parametrize("size", [0, 1, 65_530, 65_536, 200_000, 3 * 2**20, MOST_BYTES])
def test_an_answer_of_any_size_arrives_whole(path: Path, size: int):
    """HTTP/2's first window has 64 KiB: beyond it the server waits for the client's updates."""
    answer = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    with grpcio(path, lambda _request, _context: answer):
        assert call(path) == answer


def test_the_server_receives_the_request_and_the_deadline(path: Path):
    received: list[tuple[bytes, float]] = []

    def handler(request: bytes, context: grpc.ServicerContext) -> bytes:
        received.append((request, context.time_remaining()))
        return b"ok"

    with grpcio(path, handler):
        assert call(path, b"hello", timeout_s=20.0) == b"ok"
    ((request, remaining_s),) = received
    assert request == b"hello"
    assert 10.0 < remaining_s <= 20.1


def test_an_answer_beyond_the_limit_is_an_error(path: Path):
    with grpcio(path, lambda _request, _context: bytes(MOST_BYTES + 1)):
        assert status(path) is Status.RESOURCE_EXHAUSTED


def test_a_method_that_the_server_does_not_have(path: Path):
    with grpcio(path, lambda _request, _context: b""):
        assert status(path, method="/test.Service/Other") is Status.UNIMPLEMENTED


@pytest.mark.parametrize("code", [one for one in grpc.StatusCode if one is not grpc.StatusCode.OK])
def test_each_status_of_the_server_keeps_its_name(path: Path, code: grpc.StatusCode):
    with grpcio(path, lambda _request, context: context.abort(code, "no such Größe: 100%")):
        with pytest.raises(CallFailed, match=f"{code.name}: no such Größe: 100%") as caught:
            call(path)
        assert caught.value.status.name == code.name


def test_a_server_that_does_not_answer_in_time(path: Path):
    release = threading.Event()

    def handler(_request: bytes, _context: grpc.ServicerContext) -> bytes:
        release.wait(60)
        return b""

    with grpcio(path, handler):
        began_s = time.monotonic()
        assert status(path, timeout_s=0.3) is Status.DEADLINE_EXCEEDED
        assert 0.25 < time.monotonic() - began_s < 20
        release.set()


def test_a_server_that_restarted_is_reached_by_the_next_call(path: Path):
    for answer in (b"first", b"second"):
        with grpcio(path, lambda _request, _context, answer=answer: answer):
            assert call(path) == answer
            assert call(path) == answer
        assert status(path) is Status.UNAVAILABLE


def test_no_connection_stays_open(path: Path):
    descriptors = Path("/proc/self/fd")
    if not descriptors.exists():
        pytest.skip("counts open files in /proc, which this system does not have")
    with grpcio(path, lambda _request, _context: b"ok"):
        call(path)
        before = len(list(descriptors.iterdir()))
        for _ in range(20):
            call(path)
            status(path, method="/test.Service/Other")
        assert len(list(descriptors.iterdir())) <= before + 5  # of the server, which closes its side later


# Servers that follow a script


@contextmanager
def serving(path: Path, script: Callable[[sockets.socket], None]) -> Iterator[None]:
    """Serve one connection with a script; it ends when the client closes the connection."""
    with closing(sockets.socket(sockets.AF_UNIX)) as listener:
        listener.bind(str(path))
        listener.listen(1)

        def serve() -> None:
            connection, _ = listener.accept()
            with closing(connection):
                try:
                    script(connection)
                except OSError:  # the client has closed its side
                    return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield
        thread.join(60)
        assert not thread.is_alive()


def answering(script: Callable[[H2Connection, int], None], *, piece: int = 2**16) -> Callable[[sockets.socket], None]:
    """A server that reads the request, and then sends what a script writes, in pieces of so many bytes."""

    def serve(connection: sockets.socket) -> None:
        channel = H2Connection(H2Configuration(client_side=False, validate_outbound_headers=False))
        channel.initiate_connection()
        stream = requested(connection, channel)
        script(channel, stream)
        written = channel.data_to_send()
        for at in range(0, len(written), piece):
            connection.sendall(written[at : at + piece])
        while connection.recv(2**16):
            pass

    return serve


def requested(connection: sockets.socket, channel: H2Connection) -> int:
    """The stream of the request, once it is complete."""
    while True:
        for event in channel.receive_data(connection.recv(2**16)):
            if isinstance(event, StreamEnded):
                return event.stream_id


OK = [(":status", "200"), ("content-type", "application/grpc")]
MESSAGE = b"\x00\x00\x00\x00\x05hello"


def complete(channel: H2Connection, stream: int, *, body: bytes = MESSAGE, code: str | None = "0") -> None:
    channel.send_headers(stream, OK)
    channel.send_data(stream, body, end_stream=code is None)
    if code is not None:
        channel.send_headers(stream, [("grpc-status", code)], end_stream=True)


def headers_alone(*headers: tuple[str, str]) -> Callable[[H2Connection, int], None]:
    return lambda channel, stream: channel.send_headers(stream, headers, end_stream=True)


def with_body(body: bytes, code: str | None = "0") -> Callable[[H2Connection, int], None]:
    return lambda channel, stream: complete(channel, stream, body=body, code=code)


@pytest.mark.parametrize("piece", [1, 7, 2**16])
def test_an_answer_may_arrive_in_pieces(path: Path, piece: int):
    with serving(path, answering(complete, piece=piece)):
        assert call(path) == b"hello"


def test_frames_that_are_not_the_calls_are_handled(path: Path):
    def script(channel: H2Connection, stream: int) -> None:
        channel.ping(b"12345678")
        channel.send_headers(stream, [(":status", "103")])
        complete(channel, stream)
        channel.close_connection()

    with serving(path, answering(script)):
        assert call(path) == b"hello"


ANSWERS = {
    "headers alone": (headers_alone(*OK, ("grpc-status", "7")), Status.PERMISSION_DENIED),
    "an unknown code": (headers_alone(*OK, ("grpc-status", "99")), Status.UNKNOWN),
    "a code that is no number": (headers_alone(*OK, ("grpc-status", "x")), Status.UNKNOWN),
    "success without a message": (headers_alone(*OK, ("grpc-status", "0")), Status.INTERNAL),
    "no gRPC": (headers_alone((":status", "404")), Status.UNIMPLEMENTED),
    "a proxy's error": (headers_alone((":status", "503")), Status.UNAVAILABLE),
    "another HTTP status": (headers_alone((":status", "418")), Status.UNKNOWN),
    "no status": (with_body(MESSAGE, code=None), Status.INTERNAL),
    "a message that is cut off": (with_body(MESSAGE[:-1]), Status.INTERNAL),
    "two messages": (with_body(MESSAGE * 2), Status.INTERNAL),
    "a compressed message": (with_body(b"\1" + MESSAGE[1:]), Status.INTERNAL),
    "a length beyond the limit": (with_body(b"\0\xff\xff\xff\xff"), Status.RESOURCE_EXHAUSTED),
    "the end of the connection": (lambda channel, _: channel.close_connection(), Status.UNAVAILABLE),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_without_a_message_has_the_status_of_grpc(path: Path, answer: str):
    script, expected = ANSWERS[answer]
    with serving(path, answering(script)):
        assert status(path) is expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (ErrorCodes.REFUSED_STREAM, Status.UNAVAILABLE),
        (ErrorCodes.CANCEL, Status.CANCELLED),
        (ErrorCodes.ENHANCE_YOUR_CALM, Status.RESOURCE_EXHAUSTED),
        (ErrorCodes.INADEQUATE_SECURITY, Status.PERMISSION_DENIED),
        (ErrorCodes.INTERNAL_ERROR, Status.INTERNAL),
        (ErrorCodes.NO_ERROR, Status.INTERNAL),
        (0x7FFF, Status.INTERNAL),
    ],
)
def test_a_stream_that_is_reset(path: Path, code: int, expected: Status):
    with serving(path, answering(lambda channel, stream: channel.reset_stream(stream, code))):
        assert status(path) is expected


def test_a_server_that_is_not_http_2(path: Path):
    with serving(path, lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")):
        assert status(path) is Status.UNAVAILABLE


def test_a_server_that_closes_the_connection(path: Path):
    with serving(path, lambda connection: connection.recv(10)):
        assert status(path) is Status.UNAVAILABLE


def test_a_server_that_accepts_and_says_nothing(path: Path):
    with serving(path, lambda connection: [None for _ in iter(lambda: connection.recv(2**16), b"")]):
        assert status(path, timeout_s=0.3) is Status.DEADLINE_EXCEEDED


def test_the_deadline_is_that_of_the_whole_call(path: Path):
    """A server that always sends something, and never an answer."""

    def script(connection: sockets.socket) -> None:
        channel = H2Connection(H2Configuration(client_side=False))
        channel.initiate_connection()
        requested(connection, channel)
        pause = threading.Event()
        while not pause.wait(0.02):
            channel.ping(b"12345678")
            connection.sendall(channel.data_to_send())

    with serving(path, script):
        began_s = time.monotonic()
        assert status(path, timeout_s=0.3) is Status.DEADLINE_EXCEEDED
        assert time.monotonic() - began_s < 20


def test_a_server_whose_queue_of_connections_is_full(path: Path):
    with closing(sockets.socket(sockets.AF_UNIX)) as listener:
        listener.bind(str(path))
        listener.listen(0)
        waiting = []
        for _ in range(2):
            one = sockets.socket(sockets.AF_UNIX)
            one.setblocking(False)
            one.connect_ex(str(path))
            waiting.append(one)
        assert status(path, timeout_s=0.3) in (Status.UNAVAILABLE, Status.DEADLINE_EXCEEDED)
        for one in waiting:
            one.close()


def test_a_path_that_is_no_socket(path: Path):
    assert status(path) is Status.UNAVAILABLE
    path.write_text("")
    assert status(path) is Status.UNAVAILABLE
    assert status(path.parent / ("long" * 40)) is Status.UNAVAILABLE
