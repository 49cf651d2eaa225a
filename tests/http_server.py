"""A small HTTP server for client tests: a function answers every GET and POST."""

import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[[Mapping[str, str]], tuple[int, bytes] | tuple[int, bytes, Mapping[str, str]]]


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Do not log disconnected or untrusted clients."""


@contextmanager
def answering(answer: Answer, *, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve on a free loopback port; `answer` returns status, body and optional headers for the request's headers.

    Yields the URL; with `tls` it is https.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, body, *more = answer(self.headers)
            self.send_response(status)
            headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}
            for name, value in (headers | dict(*more)).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - the name is http.server's

        def log_message(self, *_: object) -> None:
            """Do not log requests."""

    server = _Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def empty_prometheus(token: str) -> Answer:
    """Accepts requests with the token, and has no data."""

    def answer(headers: Mapping[str, str]) -> tuple[int, bytes]:
        if headers.get("Authorization") == f"Bearer {token}":
            return 200, b'{"status":"success","data":[]}'
        return 401, b"Unauthorized"

    return answer
