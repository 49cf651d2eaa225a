"""The exporter's HTTP face: /metrics, /healthz, /readyz."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from gpuwise.collect.exposition import NodeCollector
from gpuwise.collect.nvml import Nvml
from gpuwise.collect.pod_resources import PodResources
from gpuwise.collect.sampler import Sampler
from gpuwise.collect.settings import ExporterSettings
from gpuwise.model.errors import DeviceError, InputError

_log = logging.getLogger(__name__)
_TEXT = "text/plain; charset=utf-8"
# Longest that one client may take over its request; a slow one holds a thread, never the sampling.
_REQUEST_TIMEOUT_S = 10.0


def run_exporter(settings: ExporterSettings, stop: threading.Event) -> None:
    """Sample and serve until told to stop.

    Args:
        settings: what to sample and where to serve.
        stop: set by a signal handler.

    Raises:
        DeviceError: there is no NVIDIA driver here, or sampling broke.
        InputError: the address cannot be listened on.
    """
    devices = Nvml(settings.nvml_library)
    attribution = None if settings.pod_resources_socket is None else PodResources(settings.pod_resources_socket)
    sampler = Sampler(devices, attribution, interval_s=settings.interval_s)
    sampling = threading.Thread(target=sampler.run, args=(stop,), name="sampler", daemon=True)
    with serving(sampler, node=settings.node, listen=settings.listen) as port:
        _log.info("serving /metrics on port %d", port)
        sampling.start()
        while sampling.is_alive() and not stop.wait(settings.interval_s):
            pass
    sampling.join(timeout=settings.interval_s)
    # A sweep wedged in the driver must keep neither the process nor NVML's lock: the daemon thread dies with us.
    if not sampling.is_alive():
        devices.close()
    if not stop.is_set():
        raise DeviceError("sampling ended by itself", mend="see the traceback above; the exporter is to be restarted")


@contextmanager
def serving(sampler: Sampler, *, node: str, listen: str) -> Iterator[int]:
    """Serve a sampler's snapshots; yields the port.

    Args:
        sampler: whose.
        node: value of the label `node`.
        listen: "address:port"; no address means every address, port 0 any free one.

    Raises:
        InputError: the address cannot be listened on.
    """
    server = _bind(listen, sampler, node)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="http", daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _bind(listen: str, sampler: Sampler, node: str) -> ThreadingHTTPServer:
    host, _, port = listen.rpartition(":")
    try:
        return ThreadingHTTPServer((host, int(port)), _handler(sampler, node))
    except (OSError, ValueError, OverflowError) as error:
        raise InputError(f"cannot listen on {listen!r}: {error}", mend='give --listen as "address:port"') from error


def _handler(sampler: Sampler, node: str) -> type[BaseHTTPRequestHandler]:
    registry = CollectorRegistry()
    registry.register(NodeCollector(sampler, node=node))

    class Handler(BaseHTTPRequestHandler):
        """Answers GET; a scrape reads the last snapshot and never touches a device."""

        timeout = _REQUEST_TIMEOUT_S

        def do_GET(self) -> None:
            match self.path.partition("?")[0]:
                case "/metrics":
                    encode, content_type = choose_encoder(self.headers.get("Accept", ""))
                    self._answer(HTTPStatus.OK, encode(registry), content_type)
                case "/healthz":
                    self._answer(HTTPStatus.OK, b"ok\n", _TEXT)
                case "/readyz" if sampler.fresh:
                    self._answer(HTTPStatus.OK, b"ok\n", _TEXT)
                case "/readyz":
                    self._answer(HTTPStatus.SERVICE_UNAVAILABLE, b"no fresh sample of the devices\n", _TEXT)
                case _:
                    self._answer(HTTPStatus.NOT_FOUND, b"try /metrics, /healthz or /readyz\n", _TEXT)

        def _answer(self, status: HTTPStatus, body: bytes, content_type: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's signature
            _log.debug(format, *args)

    return Handler
