"""A server that replays the answers of a real Kubernetes API server: one recorded scenario.

It contains no knowledge of Kubernetes. It looks each request up in the recording and returns the recorded answer, so a
test compares the client with a real server and not with the emulator. SOURCE.md beside the recordings describes how
they were made.

    with ReplayServer(traces / "kubernetes_wire/enactor_deployment.json.gz") as server:
        cluster = KubernetesCluster.connect(kubeconfig=server.write_kubeconfig(tmp_path / "config"), context=None)
        cluster.get("/apis/apps/v1/namespaces/wire-enactor-deployment/deployments/d")
        cluster.patch(path, server.request("shrink")["body"], content_type="application/json-patch+json")
        assert server.answered == ["read", "shrink"]

Which exchange answers a request:

- Method, path, query, user (by token), media type and JSON body must match the recording. The order of query
  parameters and of keys does not matter.
- The recording is divided into spans: a write that took effect (2xx, no dry run) ends a span. A request is looked up in
  the current span, so a read never sees the effect of a write that was not made. Within a span the order is free, and a
  repeated request gets the next equal exchange, or the same answer again if there is none.
- The write that ends a span advances the server to the next one. `skip_to(ID)` advances it without a write.
- Any other request gets status 599 and a message with what the recording contains instead. The end of the `with` block
  then raises `AssertionError`, so a mismatch fails the test even if the client ignored the status.

Answers that the recording does not contain can be given with `stand_in`: {"GET /path?query": (status, body)}.

Placeholders (`<uid:7>`, `<rv:12>`) have the same value everywhere in one scenario; `fill` returns the value for a test.
"""

import gzip
import json
import re
import threading
import uuid
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

import yaml

MISMATCH = 599
"""The status for a request that the recording does not contain; no real server uses it."""

_PLACE = re.compile(r"<(uid|rv|list-rv|continue|suffix|hash|ip):(\d+)>|<(time|age|any)>|<token:([a-z]+)>")
_TIME = "2026-11-26T12:00:00Z"
_READS = ("GET", "HEAD", "OPTIONS")


class ReplayServer:
    """Serves one scenario on a free loopback port within a `with` block.

    Args:
        scenario: a recording, such as ".../kubernetes_wire/product_lists.json.gz".
        stand_in: answers that the recording does not contain, by "METHOD path?query": (status, JSON body or text).
    """

    def __init__(self, scenario: Path, *, stand_in: Mapping[str, tuple[int, Any]] | None = None) -> None:
        with gzip.open(scenario, "rt", encoding="utf-8") as file:
            recorded = json.load(file)
        self.name: str = recorded["scenario"]
        self.answered: list[str] = []
        """Ids of the exchanges used so far, including "stand-in METHOD path", oldest first."""
        self.mismatches: list[str] = []
        """Requests that are not in the recording."""
        self._exchanges = [flat for one in recorded["exchanges"] for flat in (one, *one.get("during", ()))]
        self._stand_in = {_line(*key.split(" ", 1)): answer for key, answer in (stand_in or {}).items()}
        self._lock = threading.Lock()
        self._start = 0
        self._used: set[int] = set()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        if self.mismatches and kind is None:
            raise AssertionError("\n".join(self.mismatches))

    @property
    def exchanges(self) -> list[str]:
        """Ids of all exchanges, in order."""
        return [one["id"] for one in self._exchanges]

    @property
    def url(self) -> str:
        """Base URL of the server."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def write_kubeconfig(self, path: Path, *, user: str = "admin") -> Path:
        """Write a kubeconfig for this server.

        Args:
            path: the file.
            user: admin, reader, nobody or bad; anonymous for no token.
        """
        token = {} if user == "anonymous" else {"token": self.fill(f"<token:{user}>")}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "replay", "cluster": {"server": self.url}}],
            "users": [{"name": "replay", "user": token}],
            "contexts": [{"name": "replay", "context": {"cluster": "replay", "user": "replay"}}],
            "current-context": "replay",
        }
        path.write_text(yaml.safe_dump(config))
        return path

    def fill(self, value: Any) -> Any:
        """The value with its placeholders replaced, as the server sends it and expects it."""
        if isinstance(value, dict):
            return {self.fill(key): self.fill(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.fill(item) for item in value]
        return _PLACE.sub(_value, value) if isinstance(value, str) else value

    def request(self, exchange: str) -> dict[str, Any]:
        """A recorded request, filled in: {method, path, headers, as, body}."""
        return self.fill(self._exchanges[self._index(exchange)]["request"])

    def response(self, exchange: str) -> dict[str, Any]:
        """A recorded answer, filled in: {status, headers, body | text | events}."""
        return self.fill(self._exchanges[self._index(exchange)]["response"])

    def skip_to(self, exchange: str) -> None:
        """Advance to the span of this exchange, as if the writes before it had been made."""
        with self._lock:
            ends = [at for at in range(self._index(exchange)) if _takes_effect(self._exchanges[at])]
            self._start = ends[-1] + 1 if ends else 0

    def answer(self, method: str, path: str, *, user: str, media: str, body: Any) -> dict[str, Any]:
        """Look up an answer: {status, headers, body | text | events}."""
        line = _line(method, path)
        with self._lock:
            if line in self._stand_in:
                self.answered.append(f"stand-in {method} {path}")
                status, content = self._stand_in[line]
                return {"status": status, "headers": {}, "text" if isinstance(content, str) else "body": content}
            span = self._span()
            asked = (line, user, media if body is not None else "", body)
            equal = [at for at in span if self._key(at) == asked]
            if not equal:
                return self._mismatch(method, path, asked, span)
            at = next((one for one in equal if one not in self._used), equal[-1])
            self._used.add(at)
            if _takes_effect(self._exchanges[at]):
                self._start = at + 1
            self.answered.append(self._exchanges[at]["id"])
            return self.fill(self._exchanges[at]["response"])

    def _index(self, exchange: str) -> int:
        return next(at for at, one in enumerate(self._exchanges) if one["id"] == exchange)

    def _span(self) -> range:
        """From the last write made to the next write that takes effect, both included."""
        later = range(self._start, len(self._exchanges))
        end = next((at for at in later if _takes_effect(self._exchanges[at])), len(self._exchanges) - 1)
        return range(self._start, end + 1)

    def _key(self, at: int) -> tuple[Any, ...]:
        request = self.fill(self._exchanges[at]["request"])
        body = request["body"] if "body" in request else request.get("text")
        headers = {name.lower(): value for name, value in (request.get("headers") or {}).items()}
        media = headers.get("content-type", "application/json") if body is not None else ""
        return _line(request["method"], request["path"]), request.get("as", "admin"), media, body

    def _mismatch(self, method: str, path: str, asked: tuple[Any, ...], span: range) -> dict[str, Any]:
        near = [at for at in range(len(self._exchanges)) if self._key(at)[0] == asked[0]]
        about = [
            f"{self._exchanges[at]['id']}{'' if at in span else ' (in another span)'}: user, media type and body"
            f" {json.dumps(self._key(at)[1:])}"
            for at in near
        ]
        text = (
            f"the recording {self.name} does not contain {method} {path} by {asked[1]} with {json.dumps(asked[2:])}"
            f" between {self._exchanges[span[0]]['id']} and {self._exchanges[span[-1]]['id']}"
            if span
            else f"the recording {self.name} has ended: {method} {path}"
        )
        text += f"; for that path it contains: {'; '.join(about)}" if about else "; it contains nothing for that path"
        self.mismatches.append(text)
        body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": text, "code": MISMATCH}
        return {"status": MISMATCH, "headers": {}, "body": body}


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Do not log disconnected clients."""


def _handler(replay: ReplayServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            media = (self.headers.get("Content-Type") or "application/json").partition(";")[0]
            user = _user(self.headers.get("Authorization"))
            found = replay.answer(self.command, self.path, user=user, media=media, body=_json(raw))
            content = _content(found)
            self.send_response_only(found["status"], "Replayed")
            headers = {"content-type": "application/json"} | found["headers"] | {"content-length": str(len(content))}
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = _answer  # noqa: N815 - http.server's

        def log_message(self, *_: object) -> None:
            """Do not log requests."""

    return Handler


def _content(found: Mapping[str, Any]) -> bytes:
    if "text" in found:
        return str(found["text"]).encode()
    if "events" in found:
        return b"".join(json.dumps(event).encode() + b"\n" for event in found["events"])
    return json.dumps(found.get("body")).encode()


def _json(raw: bytes) -> Any:
    if not raw:
        return None
    try:
        return json.loads(raw)
    except ValueError:
        return raw.decode("utf-8", "replace")


def _user(header: str | None) -> str:
    if not header:
        return "anonymous"
    token = header.removeprefix("Bearer ")
    return next((name for name in ("admin", "reader", "nobody") if token == f"replayed-{name}"), "bad")


def _line(method: str, target: str) -> tuple[str, str, tuple[tuple[str, str], ...]]:
    parts = urlsplit(target)
    return method, unquote(parts.path), tuple(sorted(parse_qsl(parts.query, keep_blank_values=True)))


def _takes_effect(exchange: Mapping[str, Any]) -> bool:
    request = exchange["request"]
    dry = "dryRun=All" in request["path"] or "dryRun" in str(request.get("body") or "")
    review = "reviews" in urlsplit(request["path"]).path.rpartition("/")[2]
    return request["method"] not in _READS and not dry and not review and 200 <= exchange["response"]["status"] < 300


def _value(found: re.Match[str]) -> str:
    """The value of a placeholder: a function of its type and number, so that it is the same everywhere."""
    kind, number, plain, user = found.groups()
    if user:
        return f"replayed-{user}"
    if plain:
        return {"time": _TIME, "age": "5s", "any": "any"}[plain]
    at = int(number)
    return {
        "uid": str(uuid.UUID(int=0x5EED_0000_0000_4000_8000_0000_0000_0000 + at)),
        "rv": str(10_000 + at),
        "list-rv": str(10_000 + at),
        "continue": f"continue-{at}",
        "suffix": f"x{at:04d}",
        "hash": f"h{at:05d}",
        "ip": f"10.0.{at // 250}.{at % 250 + 1}",
    }[kind]
