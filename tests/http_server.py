"""A small HTTP server for what a client must bear: it answers every GET as a function says."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[[Mapping[str, str]], tuple[int, bytes]]


@contextmanager
def answering(answer: Answer) -> Iterator[str]:
    """Serve on a free port of loopback; `answer` makes status and body of a request's headers. Yields the URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answer(self.headers)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
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
