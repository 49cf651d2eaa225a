"""The HTTP endpoints of the exporter: /metrics, /healthz, /readyz, and a page with links to them."""

import io
import logging
import selectors
import socket
import threading
import time
from _thread import start_new_thread
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any

from gpuwise import __version__
from gpuwise.collect.sampler import Sampler
from gpuwise.collect.serve.access import BasicAuth
from gpuwise.collect.serve.connections import Connection, Connections
from gpuwise.collect.serve.negotiation import accepts_gzip, format_of
from gpuwise.collect.serve.page import Page
from gpuwise.collect.serve.web_config import WebConfigFile
from gpuwise.model.errors import InputError

_log = logging.getLogger(__name__)
_TEXT, _HTML = "text/plain; charset=utf-8", "text/html; charset=utf-8"
# From the first byte of a request, or of a connection, to the end of the request's head; and for an answer.
_HEAD_S = 10.0
_ANSWER_S = 10.0
# Between two requests: longer than any usual scrape interval.
_IDLE_S = 150.0
# One thread per connection: more would exhaust the node's memory.
_MOST_CONNECTIONS = 128
_MOST_PER_ADDRESS = 32
_LANDING = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>gpuwise exporter</title></head><body>
<h1>gpuwise exporter</h1>
<p>Version {__version__}</p>
<ul>
<li><a href="metrics">Metrics</a></li>
<li><a href="healthz">Liveness</a></li>
<li><a href="readyz">Readiness</a></li>
</ul>
</body></html>
""".encode()


@contextmanager
def serving(sampler: Sampler, page: Page, *, listen: str, web_config: WebConfigFile) -> Iterator[int]:
    """Serve the snapshots of a sampler; yields the port.

    Args:
        sampler: reports whether its snapshot is fresh.
        page: the content of /metrics.
        listen: "address:port"; no address, or "[::]", means every address, IPv4 and IPv6; port 0 means any free port.
        web_config: TLS and authentication.

    Raises:
        InputError: the address cannot be bound.
    """
    server = _bind(listen, _Sources(sampler, page, web_config))
    stopped, stop = socket.socketpair()
    thread = threading.Thread(target=server.serve_until, args=(stopped,), name="http", daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        stop.close()
        thread.join()
        stopped.close()
        server.server_close()


@dataclass(frozen=True, slots=True)
class _Sources:
    """What requests are answered from: sampler, page, web config and authentication."""

    sampler: Sampler
    page: Page
    web: WebConfigFile
    auth: BasicAuth = field(default_factory=BasicAuth)


class _Server(ThreadingHTTPServer):
    """One thread per connection, up to a limit; each connection is wrapped in TLS if TLS is configured."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], sources: _Sources) -> None:
        self.sources = sources
        self.connections = Connections(most=_MOST_CONNECTIONS, most_per_address=_MOST_PER_ADDRESS, answer_s=_ANSWER_S)
        self._of_request: dict[Any, Connection] = {}
        # Every address: one IPv6 socket that also accepts IPv4, if the node supports IPv6.
        self._every = address[0] in {"", "::"} and socket.has_dualstack_ipv6()
        self.address_family = socket.AF_INET6 if self._every or ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)

    def serve_until(self, stopped: socket.socket) -> None:
        """Accept connections until the other end of this socket is closed.

        `serve_forever` would look for that several times a second: a third of the CPU time of an idle exporter.
        """
        with selectors.DefaultSelector() as selector:
            selector.register(self, selectors.EVENT_READ)
            selector.register(stopped, selectors.EVENT_READ)
            while all(key.fileobj is self for key, _ in selector.select()):
                self._accept()

    def _accept(self) -> None:
        """Accept one connection; `handle_request` would wait for it once more, with a selector of its own."""
        try:
            request, client_address = self.get_request()
        except OSError:  # the client has ended it already
            return
        try:
            self.process_request(request, client_address)
        except Exception:  # noqa: BLE001 - one connection must not end the server
            self.handle_error(request, client_address)
            self.shutdown_request(request)

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(not self._every))
        # Not HTTPServer's, which asks the DNS for the node's name: without an answer it waits for 10 s or more.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "", self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        connection = Connection(request, client_address[0])
        self.connections.admit(connection)
        self._of_request[request] = connection
        # Not `threading.Thread`, whose start waits for the thread: 0.1 ms of the 0.6 ms that a scrape takes here.
        try:
            start_new_thread(self.process_request_thread, (request, client_address))
        except RuntimeError:  # the node has no more threads for this process
            self.connections.leave(self._of_request.pop(request))
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.connections.leave(self._of_request.pop(request))

    def finish_request(self, request: Any, client_address: Any) -> None:
        connection, tls = self._of_request[request], self.sources.web.current().tls
        if tls is None:
            _Handler(connection, client_address, self)
            return
        request.settimeout(_HEAD_S)
        with tls.wrap_socket(request, server_side=True, do_handshake_on_connect=False) as connection.socket:
            connection.socket.do_handshake()  # the timeout is that of the whole handshake
            _Handler(connection, client_address, self)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - socketserver's signature
        _log.debug("the connection from %s ended early", client_address, exc_info=True)


class _Stream(io.RawIOBase):
    """A connection as a stream with deadlines for a whole request's head and for a whole answer.

    A socket's own timeout begins again with each byte, so a client that sends or reads slowly would extend it.

    Args:
        connection: the connection.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._ends_s = time.monotonic() + _HEAD_S
        self._idle = False

    def next_request(self) -> None:
        """Wait for the next request: the deadline of its head begins with its first byte."""
        self._ends_s, self._idle = time.monotonic() + _IDLE_S, True

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left_s = self._ends_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        self._connection.socket.settimeout(left_s)
        read = self._connection.socket.recv_into(buffer)
        if self._idle:
            self._ends_s, self._idle = time.monotonic() + _HEAD_S, False
        return read

    def write(self, data: Any) -> int:
        self._connection.socket.settimeout(_ANSWER_S)
        self._connection.socket.sendall(data)  # the timeout is that of the whole answer
        return len(data)


class _Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD; a scrape reads the last snapshot and never touches a device."""

    server: _Server
    protocol_version = "HTTP/1.1"  # a connection serves many scrapes
    server_version, sys_version = f"gpuwise-exporter/{__version__}", ""

    def __init__(self, connection: Connection, client_address: Any, server: _Server) -> None:
        self._connection = connection
        super().__init__(connection.socket, client_address, server)

    def setup(self) -> None:
        self.connection = self.request
        # Otherwise the body waits 40 ms for the acknowledgement of the header.
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._stream = _Stream(self._connection)
        self.rfile, self.wfile = io.BufferedReader(self._stream), io.BufferedWriter(self._stream, 2**16)

    def handle_one_request(self) -> None:
        super().handle_one_request()
        self._connection.end()
        self._stream.next_request()

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self._connection.begin()
        if self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers:
            self.close_connection = True  # the body is not read, so what follows is not a request
        sources, path = self.server.sources, self.path.partition("?")[0]
        if path == "/healthz" or (path == "/readyz" and sources.sampler.fresh):
            self._answer(HTTPStatus.OK, b"ok\n")
        elif path == "/readyz":
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, b"no recent sample of the devices\n")
        elif not sources.auth.allows(self.headers.get("Authorization"), sources.web.current().users):
            self._answer(HTTPStatus.UNAUTHORIZED, b"unauthorized\n", {"WWW-Authenticate": "Basic"})
        elif path == "/metrics":
            self._metrics()
        elif path == "/":
            self._answer(HTTPStatus.OK, _LANDING, content_type=_HTML)
        else:
            self._answer(HTTPStatus.NOT_FOUND, b"try /metrics, /healthz or /readyz\n")

    def _metrics(self) -> None:
        wanted, page = format_of(self.headers.get("Accept")), self.server.sources.page
        headers = {"Vary": "Accept, Accept-Encoding"}
        if accepts_gzip(self.headers.get("Accept-Encoding")):
            body = page.packed(wanted)
            self._answer(HTTPStatus.OK, body, {"Content-Encoding": "gzip", **headers}, wanted.value)
        else:
            self._answer(HTTPStatus.OK, page.plain(wanted), headers, wanted.value)

    def _answer(
        self, status: HTTPStatus, body: bytes, headers: dict[str, str] | None = None, content_type: str = _TEXT
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": content_type, **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's signature
        _log.debug(format, *args)


def _bind(listen: str, sources: _Sources) -> _Server:
    host, _, port = listen.rpartition(":")
    try:
        return _Server((host.strip("[]"), int(port)), sources)
    except (OSError, ValueError, OverflowError) as error:
        raise InputError(f"cannot listen on {listen!r}: {error}", hint='set --listen to "address:port"') from error
