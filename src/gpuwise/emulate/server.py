"""The emulator as tests and the demo start it."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

import uvicorn
import yaml

from gpuwise.emulate.access import ADMIN, READER, Request
from gpuwise.emulate.adoption import adopt_loaded
from gpuwise.emulate.api import Api
from gpuwise.emulate.faults import Fault
from gpuwise.emulate.http import HttpApi
from gpuwise.emulate.loop import ControlLoop
from gpuwise.emulate.status import Object
from gpuwise.emulate.store import ObjectStore

ADMIN_TOKEN = "emulated-admin"  # noqa: S105  # known to all: it listens on loopback and guards nothing
READER_TOKEN = "emulated-reader"  # noqa: S105  # as above


class KubernetesEmulator:
    """A Kubernetes API on a free port of 127.0.0.1, with controllers, scheduler and kubelet behind it.

    Args:
        objects: the cluster's past: nodes, workloads and the pods that already run.
        clock: epoch seconds.
    """

    def __init__(self, objects: Iterable[Object] = (), *, clock: Callable[[], float] = time.time) -> None:
        self._store = ObjectStore(clock)
        self._store.load(objects)
        adopt_loaded(self._store)
        self._api = Api(self._store)
        self._http = HttpApi(self._api, {ADMIN_TOKEN: ADMIN, READER_TOKEN: READER}, lambda: self._server.should_exit)
        self._loop = ControlLoop(self._store)
        config = uvicorn.Config(
            self._http.application(), log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=2
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, name="emulated-api", daemon=True)
        self._socket: socket.socket | None = None
        self.url = ""

    def __enter__(self) -> Self:
        # The protocol is named, or asyncio leaves Nagle's algorithm on and each answer waits 40 ms for an ACK.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen(128)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._loop.__enter__()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.should_exit = True
        with self._store.lock:
            self._store.touch()
        self._thread.join()
        self._loop.__exit__(kind, error, at)

    @property
    def requests(self) -> tuple[Request, ...]:
        """Everything that was asked, oldest first."""
        return self._http.requests

    def write_kubeconfig(self, path: Path, *, token: str = ADMIN_TOKEN) -> Path:
        """Write a kubeconfig that leads here.

        Args:
            path: the file.
            token: ADMIN_TOKEN, READER_TOKEN, or one that is not known.
        """
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "emulated", "cluster": {"server": self.url}}],
            "users": [{"name": "emulated", "user": {"token": token}}],
            "contexts": [{"name": "emulated", "context": {"cluster": "emulated", "user": "emulated"}}],
            "current-context": "emulated",
        }
        path.write_text(yaml.safe_dump(config))
        return path

    def settle(self, timeout_s: float = 120.0) -> None:
        """Wait until controllers and scheduler have nothing left to do.

        Raises:
            TimeoutError: they still had after `timeout_s` seconds.
        """
        self._loop.settle(timeout_s)

    def load(self, *objects: Object) -> None:
        """Put objects as they are, with their status: what is not asked for over HTTP."""
        self._store.load(objects)

    def reset(self, objects: Iterable[Object] = ()) -> None:
        """Begin again with another past and an empty log of requests; the version goes on."""
        with self._store.lock:
            self._store.clear()
            self._store.load(objects)
            adopt_loaded(self._store)
        self.settle()
        self._http.forget()

    def compact(self) -> None:
        """Forget history and half-read lists: older watches and continue tokens get 410 from now on."""
        with self._store.lock:
            self._store.history.compact()
            self._api.pages.expire()

    def fail(
        self,
        code: int,
        *,
        verb: str | None = None,
        path: str = "",
        times: int = 1,
        after: int = 0,
        done: bool = False,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Answer coming requests with a failure.

        Args:
            code: HTTP status.
            verb: which requests, None for all.
            path: regular expression that their path matches somewhere.
            times: how many of them.
            after: let that many through first.
            done: let it take effect, and lose only the answer.
            headers: of the answer, such as Retry-After.
        """
        self._http.faults.order(Fault(code, verb, path, times, after, done, headers or {}))

    def _serve(self) -> None:
        assert self._socket is not None
        asyncio.run(self._server.serve(sockets=[self._socket]))
