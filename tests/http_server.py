"""A small HTTP server for what a client must bear: it answers every GET and POST as a function says."""

import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[[Mapping[str, str]], tuple[int, bytes] | tuple[int, bytes, Mapping[str, str]]]


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Say nothing of clients that hang up or are not trusted."""


@contextmanager
def answering(answer: Answer, *, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve on a free port of loopback; `answer` makes status, body and perhaps headers of a request's headers.

    Yields the URL; `tls` makes it https.
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
            """Say nothing."""

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
    """Lets in who shows the token, and has nothing."""

    def answer(headers: Mapping[str, str]) -> tuple[int, bytes]:
        if headers.get("Authorization") == f"Bearer {token}":
            return 200, b'{"status":"success","data":[]}'
        return 401, b"Unauthorized"

    return answer
