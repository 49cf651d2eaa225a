"""A small server in place of Slack's incoming webhooks: it keeps the messages, and fails where a test says so."""

import json
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PATH = "/services/T0000/B0000/a-secret-that-nobody-may-see"
DROP = 0
"""A status: the connection is closed without an answer."""


@dataclass
class Webhook:
    url: str = ""
    posted: list[dict[str, Any]] = field(default_factory=list)
    """The messages that were accepted."""
    requests: int = 0
    answers: deque[tuple[int, str, Mapping[str, str]]] = field(default_factory=deque)

    def answer(self, status: int, text: str = "", **headers: str) -> None:
        """Give this answer to the next request that has none yet."""
        self.answers.append((status, text, {name.replace("_", "-"): value for name, value in headers.items()}))


@contextmanager
def webhook_server() -> Iterator[Webhook]:
    """Serve on a free port of this machine."""
    hook = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            hook.requests += 1
            right = self.path == PATH and self.headers["Content-Type"] == "application/json"
            usual = (200, "ok", {}) if right else (404, "no_service", {})
            status, text, headers = hook.answers.popleft() if hook.answers else usual
            if status in (200, DROP):
                hook.posted.append(json.loads(body))
            if status == DROP:
                self.close_connection = True
                return
            self.send_response(status)
            for name, value in {"Content-Length": str(len(text)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Do not log requests."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hook.url = f"http://127.0.0.1:{server.server_port}{PATH}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hook
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
