"""Connection to the API server of a kubeconfig's current context: requests, streams, watches."""

import json
import threading
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

import urllib3
from kubernetes import config

MERGE = "application/merge-patch+json"
WATCH_S = 2  # duration of one watch, and so the longest wait for it at the end of a session


class UnexpectedStatus(Exception):
    """A response that the setup did not expect."""

    def __init__(self, method: str, path: str, status: int, body: Any) -> None:
        message = body.get("message", body) if isinstance(body, dict) else body
        super().__init__(f"{method} {path}: {status}: {message}")
        self.status = status


class Connection:
    """The API server of one kubeconfig.

    Args:
        kubeconfig: path of the file; its current context is used.
    """

    def __init__(self, kubeconfig: str) -> None:
        self._settings = config.new_client_from_config(kubeconfig).configuration
        self.url = self._settings.host.rstrip("/")
        certificate = {"cert_file": self._settings.cert_file, "key_file": self._settings.key_file}
        self._own = self._pool(**certificate)
        self._others = self._pool()  # a client certificate would win over another user's token

    def _pool(self, **certificate: Any) -> urllib3.PoolManager:
        return urllib3.PoolManager(
            maxsize=32,
            cert_reqs="CERT_REQUIRED" if self._settings.verify_ssl else "CERT_NONE",
            ca_certs=self._settings.ssl_ca_cert,
            retries=False,
            **certificate,
        )

    def open(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        other: bool = False,
        token: str | None = None,
    ) -> urllib3.BaseHTTPResponse:
        """Send a request and return the response unread.

        Args:
            method: HTTP method.
            target: path and query.
            headers: without authorization.
            body: raw body.
            other: send as another user than the kubeconfig's.
            token: bearer token of that user, None for an anonymous request.
        """
        sent = dict(headers)
        if other:
            sent |= {"Authorization": f"Bearer {token}"} if token else {}
        else:
            sent |= {one["key"]: one["value"] for one in self._settings.auth_settings().values()}
        pool = self._others if other else self._own
        return pool.request(method, self.url + target, headers=sent, body=body, preload_content=False, redirect=False)

    def call(
        self, method: str, path: str, body: Any = None, *, content_type: str = "application/json", **query: Any
    ) -> tuple[int, Any]:
        """Send JSON as the kubeconfig's user; returns status and response."""
        target = f"{path}?{urlencode(query)}" if query else path
        headers = {"Content-Type": content_type, "Accept": "application/json"}
        text = None if body is None else json.dumps(body).encode()
        with self.open(method, target, headers=headers, body=text) as response:
            raw = response.read()
        try:
            return response.status, json.loads(raw)
        except ValueError:
            return response.status, raw.decode(errors="replace")

    def must(self, method: str, path: str, body: Any = None, *, also: tuple[int, ...] = (), **how: Any) -> Any:
        """Send JSON and return the response.

        Raises:
            UnexpectedStatus: the status is neither a success nor in `also`.
        """
        status, answer = self.call(method, path, body, **how)
        if status >= 300 and status not in also:
            raise UnexpectedStatus(method, path, status, answer)
        return answer

    def items(self, path: str, **query: Any) -> list[Any]:
        """All objects of a collection."""
        found: list[Any] = self.must("GET", path, **query)["items"]
        return found

    def close(self) -> None:
        """Close every connection."""
        self._own.clear()
        self._others.clear()


class Watcher:
    """A thread that calls a function with each object of a collection, and again whenever the object changes.

    Args:
        connection: to the server.
        path: the collection.
        handle: called with every object; errors because the object is gone or changed are ignored.
    """

    def __init__(self, connection: Connection, path: str, handle: Callable[[Any], None]) -> None:
        self._connection, self._path, self._handler = connection, path, handle
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"watch {path}", daemon=True)
        self.failure: BaseException | None = None

    def start(self) -> None:
        """Start watching."""
        self._thread.start()

    def stop(self) -> None:
        """Stop watching, after WATCH_S seconds at most."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        version = ""
        while not self._stop.is_set():
            try:
                version = self._follow(version) if version else self._list()
            except (urllib3.exceptions.HTTPError, OSError, ValueError, UnexpectedStatus) as error:
                self.failure, version = error, ""
                self._stop.wait(0.2)

    def _list(self) -> str:
        answer = self._connection.must("GET", self._path)
        for item in answer["items"]:
            self._handle(item)
        return str(answer["metadata"]["resourceVersion"])

    def _follow(self, version: str) -> str:
        """Read one watch to its end; returns its last version, "" if the version has expired."""
        query = urlencode(
            {"watch": "true", "resourceVersion": version, "timeoutSeconds": WATCH_S, "allowWatchBookmarks": "true"}
        )
        with self._connection.open("GET", f"{self._path}?{query}", headers={"Accept": "application/json"}) as response:
            for line in _lines(response):
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return ""
                version = event["object"]["metadata"]["resourceVersion"]
                if event["type"] in ("ADDED", "MODIFIED"):
                    self._handle(event["object"])
        return version

    def _handle(self, item: Any) -> None:
        try:
            self._handler(item)
        except UnexpectedStatus as refused:
            if refused.status not in (404, 409, 422):
                raise


def _lines(response: urllib3.BaseHTTPResponse) -> Any:
    rest = b""
    for chunk in response.stream():
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
