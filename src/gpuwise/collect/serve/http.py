"""The HTTP endpoints of the exporter: /metrics, /healthz, /readyz."""

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from gpuwise.collect.sampler import Sampler
from gpuwise.collect.serve.access import BasicAuth
from gpuwise.collect.serve.page import CONTENT_TYPE, Page
from gpuwise.collect.serve.web_config import WebConfigFile
from gpuwise.model.errors import InputError

_log = logging.getLogger(__name__)
_TEXT = "text/plain; charset=utf-8"
# Longest time for a client to send a request, or to keep a connection idle: it occupies a thread, but not the sampler.
_REQUEST_TIMEOUT_S = 30.0
# One thread per connection: further connections are closed, so that clients cannot exhaust the node's memory.
_MOST_CONNECTIONS = 128


@contextmanager
def serving(sampler: Sampler, page: Page, *, listen: str, web_config: WebConfigFile) -> Iterator[int]:
    """Serve the snapshots of a sampler; yields the port.

    Args:
        sampler: reports whether its snapshot is fresh.
        page: the content of /metrics.
        listen: "address:port"; no address means every address, IPv4 and IPv6; port 0 means any free port.
        web_config: TLS and authentication.

    Raises:
        InputError: the address cannot be bound.
    """
    server = _bind(listen, _Sources(sampler, page, web_config))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="http", daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


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
        self._slots = threading.BoundedSemaphore(_MOST_CONNECTIONS)
        # Every address: one IPv6 socket that also accepts IPv4, if the node supports IPv6.
        every = not address[0] and socket.has_dualstack_ipv6()
        self.address_family = socket.AF_INET6 if every or ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(self.server_address[0] != ""))
        super().server_bind()

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._slots.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def finish_request(self, request: Any, client_address: Any) -> None:
        tls = self.sources.web.current().tls
        if tls is None:
            super().finish_request(request, client_address)
            return
        request.settimeout(_REQUEST_TIMEOUT_S)
        with tls.wrap_socket(request, server_side=True) as wrapped:
            super().finish_request(wrapped, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - socketserver's signature
        _log.debug("the connection from %s ended early", client_address, exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    """Answers GET; a scrape reads the last snapshot and never touches a device."""

    server: _Server
    protocol_version = "HTTP/1.1"  # a connection serves many scrapes
    disable_nagle_algorithm = True
    wbufsize = 2**16  # header and body in one write: otherwise the body waits 40 ms for the header's acknowledgement
    timeout = _REQUEST_TIMEOUT_S

    def do_GET(self) -> None:
        sources, path = self.server.sources, self.path.partition("?")[0]
        if path == "/healthz" or (path == "/readyz" and sources.sampler.fresh):
            self._answer(HTTPStatus.OK, b"ok\n")
        elif path == "/readyz":
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, b"no recent sample of the devices\n")
        elif not sources.auth.allows(self.headers.get("Authorization"), sources.web.current().users):
            self._answer(HTTPStatus.UNAUTHORIZED, b"unauthorized\n", {"WWW-Authenticate": "Basic"})
        elif path != "/metrics":
            self._answer(HTTPStatus.NOT_FOUND, b"try /metrics, /healthz or /readyz\n")
        elif "gzip" in self.headers.get("Accept-Encoding", ""):
            self._answer(HTTPStatus.OK, sources.page.packed(), {"Content-Encoding": "gzip"}, CONTENT_TYPE)
        else:
            self._answer(HTTPStatus.OK, sources.page.plain(), {}, CONTENT_TYPE)

    def _answer(
        self, status: HTTPStatus, body: bytes, headers: dict[str, str] | None = None, content_type: str = _TEXT
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": content_type, **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's signature
        _log.debug(format, *args)


def _bind(listen: str, sources: _Sources) -> _Server:
    host, _, port = listen.rpartition(":")
    try:
        return _Server((host.strip("[]"), int(port)), sources)
    except (OSError, ValueError, OverflowError) as error:
        raise InputError(f"cannot listen on {listen!r}: {error}", hint='set --listen to "address:port"') from error
