"""The emulator, for tests and the demo."""

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

from gpuwise.emulate.access import ADMIN, NOBODY, READER, Request
from gpuwise.emulate.adoption import adopt_loaded
from gpuwise.emulate.api import Api
from gpuwise.emulate.faults import Fault
from gpuwise.emulate.http import HttpApi
from gpuwise.emulate.loop import ControlLoop
from gpuwise.emulate.registry import Registry
from gpuwise.emulate.resources import CUSTOM, Resource
from gpuwise.emulate.status import Object
from gpuwise.emulate.store import ObjectStore

ADMIN_TOKEN = "emulated-admin"  # noqa: S105  # not a secret: the emulator listens on loopback only
READER_TOKEN = "emulated-reader"  # noqa: S105  # as above
NOBODY_TOKEN = "emulated-nobody"  # noqa: S105  # as above
_USERS = {ADMIN_TOKEN: ADMIN, READER_TOKEN: READER, NOBODY_TOKEN: NOBODY}


class KubernetesEmulator:
    """A Kubernetes API on a free port of 127.0.0.1, with controllers, scheduler and kubelet.

    Args:
        objects: the cluster's past: nodes, workloads, and pods that are already running.
        clock: epoch seconds.
        custom_resources: installed from the start; others can be added with a CustomResourceDefinition.
        compaction_s: interval at which lists of past versions are dropped, as etcd's compaction does; None for never.
    """

    def __init__(
        self,
        objects: Iterable[Object] = (),
        *,
        clock: Callable[[], float] = time.time,
        custom_resources: Iterable[Resource] = CUSTOM,
        compaction_s: float | None = None,
    ) -> None:
        self._store = ObjectStore(clock, Registry(custom_resources))
        self._store.load(objects)
        adopt_loaded(self._store)
        self._http = HttpApi(Api(self._store), dict(_USERS), lambda: self._server.should_exit)
        self._loop = ControlLoop(self._store)
        self._compaction_s = compaction_s
        self._stopped = threading.Event()
        self._compactor = threading.Thread(target=self._compact_regularly, name="emulated-compaction", daemon=True)
        # h11 accepts every method that HTTP allows, and so does the API.
        config = uvicorn.Config(
            self._http,
            http="h11",
            log_level="warning",
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=2,
            server_header=False,
            date_header=False,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, name="emulated-api", daemon=True)
        self._socket: socket.socket | None = None
        self.url = ""

    def __enter__(self) -> Self:
        # Without the protocol number, asyncio leaves Nagle's algorithm on and each response waits 40 ms for an ACK.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen(128)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._loop.__enter__()
        self._thread.start()
        if self._compaction_s is not None:
            self._compactor.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.should_exit = True
        self._stopped.set()
        with self._store.lock:
            self._store.touch()
        self._thread.join()
        self._loop.__exit__(kind, error, at)

    @property
    def requests(self) -> tuple[Request, ...]:
        """All requests, oldest first."""
        return self._http.requests

    def write_kubeconfig(self, path: Path, *, token: str = ADMIN_TOKEN) -> Path:
        """Write a kubeconfig for the emulator.

        Args:
            path: the file.
            token: ADMIN_TOKEN, READER_TOKEN, NOBODY_TOKEN, or an unknown one.
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
            TimeoutError: they were not done after `timeout_s` seconds.
        """
        self._loop.settle(timeout_s)

    def load(self, *objects: Object) -> None:
        """Store objects as they are, including their status, without an HTTP request."""
        self._store.load(objects)

    def reset(self, objects: Iterable[Object] = ()) -> None:
        """Replace all objects and clear the request log; the version continues."""
        with self._store.lock:
            self._store.clear()
            self._store.load(objects)
            adopt_loaded(self._store)
        self.settle()
        self._http.forget()

    def compact(self) -> None:
        """Drop the history: watches and continue tokens from earlier versions get 410."""
        with self._store.lock:
            self._store.history.forget()
            self._store.history.compact(self._store.version + 1)

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
        """Answer the next requests with a failure.

        Args:
            code: HTTP status.
            verb: RBAC verb of the requests, None for all.
            path: regular expression to search for in the path.
            times: number of failures.
            after: number of matching requests that succeed first.
            done: the request takes effect, and only its response is lost.
            headers: of the response, such as Retry-After.
        """
        self._http.faults.inject(Fault(code, verb, path, times, after, done, headers or {}))

    def _compact_regularly(self) -> None:
        """Drop the lists at versions before the previous compaction."""
        assert self._compaction_s is not None
        last = 0
        while not self._stopped.wait(self._compaction_s):
            with self._store.lock:
                self._store.history.compact(last)
                last = self._store.version

    def _serve(self) -> None:
        assert self._socket is not None
        asyncio.run(self._server.serve(sockets=[self._socket]))
