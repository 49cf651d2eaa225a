"""A proxy for a real API server: it logs every request and injects the failures that a test requests."""

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import urllib3
from tests.real_cluster.connection import Connection

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}
NOT_PASSED_ON = HOP_BY_HOP | {"authorization", "host"}
REASONS = {400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 409: "Conflict", 410: "Expired"}
REASONS |= {429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable", 504: "Timeout"}


@dataclass(frozen=True, slots=True)
class Request:
    """One entry of the log: RBAC verb, path without query, user name, whether a dry run, HTTP status."""

    verb: str
    path: str
    user: str
    dry_run: bool
    status: int


@dataclass(frozen=True, slots=True)
class Caller:
    """The identity of a forwarded request: the kubeconfig's user, or the owner of another token (None: anonymous)."""

    name: str
    other: bool
    token: str | None


@dataclass(slots=True)
class Fault:
    """A failure to inject; with `done` the request takes effect and only its response is lost."""

    code: int
    verb: str | None
    path: str
    times: int
    after: int
    done: bool
    headers: Mapping[str, str]

    def matches(self, verb: str, path: str) -> bool:
        return self.verb in (None, verb) and re.search(self.path, path) is not None


def verb_of(method: str, path: str, query: str) -> str:
    """The RBAC verb of a request."""
    parts = path.strip("/").split("/")
    rest = parts[2:] if parts[0] == "api" else parts[3:]
    if rest[:1] == ["namespaces"] and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        rest = rest[2:]
    if method == "GET":
        watches = parse_qs(query).get("watch", ["false"])[0] in ("true", "1")
        return "get" if len(rest) != 1 else "watch" if watches else "list"
    if method == "DELETE" and len(rest) == 1:
        return "deletecollection"
    return {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}[method]


class FaultProxy:
    """The proxy, on a free loopback port.

    Args:
        connection: to the API server.
        users: the identity for each token of the tests; any other token is forwarded unchanged.
    """

    def __init__(self, connection: Connection, users: Mapping[str, Caller]) -> None:
        self._connection, self._users = connection, users
        self._lock = threading.Lock()
        self._log: list[Request] = []
        self._faults: list[Fault] = []
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def start(self) -> None:
        """Start serving."""
        self._thread.start()

    def stop(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def requests(self) -> tuple[Request, ...]:
        """All requests, oldest first."""
        with self._lock:
            return tuple(self._log)

    def inject(self, fault: Fault) -> None:
        """Add a failure; the first one that matches a request is used."""
        with self._lock:
            self._faults.append(fault)

    def forget(self) -> None:
        """Clear the log and the failures."""
        with self._lock:
            self._log.clear()
            self._faults.clear()

    def caller(self, header: str | None) -> Caller:
        """The identity of an Authorization header."""
        match = re.fullmatch(r"Bearer (.+)", header or "")
        if match is None:
            return Caller("", other=True, token=None)
        return self._users.get(match[1]) or Caller("", other=True, token=match[1])

    def take(self, verb: str, path: str) -> Fault | None:
        """The failure for this request, None if it is forwarded."""
        with self._lock:
            fault = next((one for one in self._faults if one.matches(verb, path)), None)
            if fault is None:
                return None
            if fault.after:
                fault.after -= 1
                return None
            fault.times -= 1
            if not fault.times:
                self._faults.remove(fault)
            return fault

    def record(self, request: Request) -> None:
        """Add an entry to the log."""
        with self._lock:
            self._log.append(request)

    def forward(self, handler: BaseHTTPRequestHandler, caller: Caller, body: bytes | None) -> urllib3.BaseHTTPResponse:
        """Forward a request."""
        headers = {key: value for key, value in handler.headers.items() if key.lower() not in NOT_PASSED_ON}
        return self._connection.open(
            handler.command, handler.path, headers=headers, body=body, other=caller.other, token=caller.token
        )


class _Server(ThreadingHTTPServer):
    daemon_threads = True  # a watch may still be open

    def __init__(self, proxy: FaultProxy) -> None:
        self.proxy = proxy
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, *_: object) -> None:
        """Do not log disconnected clients."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: "_Server"

    def answer(self) -> None:
        proxy = self.server.proxy
        path, _, query = self.path.partition("?")
        verb, caller = verb_of(self.command, path, query), proxy.caller(self.headers.get("Authorization"))
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))) or None
        fault = proxy.take(verb, path)
        if fault is None:
            with proxy.forward(self, caller, body) as response:
                proxy.record(Request(verb, path, caller.name, "dryRun=All" in query, response.status))
                self.relay(response)
            return
        if fault.done:
            proxy.forward(self, caller, body).drain_conn()
        proxy.record(Request(verb, path, caller.name, "dryRun=All" in query, fault.code))
        self.refuse(fault)

    def relay(self, response: urllib3.BaseHTTPResponse) -> None:
        self.send_response_only(response.status)
        for key, value in response.headers.items():
            if key.lower() not in HOP_BY_HOP:
                self.send_header(key, value)
        length = response.headers.get("Content-Length")
        self.send_header(*(("Content-Length", length) if length else ("Transfer-Encoding", "chunked")))
        self.end_headers()
        for chunk in response.stream(decode_content=False):
            self.wfile.write(chunk if length else b"%x\r\n%b\r\n" % (len(chunk), chunk))
            self.wfile.flush()
        if not length:
            self.wfile.write(b"0\r\n\r\n")

    def refuse(self, fault: Fault) -> None:
        status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        status |= {"message": "injected by a test", "reason": REASONS.get(fault.code, ""), "code": fault.code}
        text = json.dumps(status).encode()
        self.send_response_only(fault.code)
        for key, value in {"Content-Type": "application/json", **fault.headers}.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Do not log requests."""

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815 - http.server's names
