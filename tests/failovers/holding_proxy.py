"""A proxy between one process and the API server that holds one write, as a network or a busy server does."""

import threading

import urllib3

from gpuwise.emulate import ADMIN_TOKEN
from tests.real_cluster.fault_proxy import FaultProxy


class HoldingProxy(FaultProxy):
    """The proxy of one process.

    Args:
        url: of the API server.
        held: which of the process's writes to workloads is held, from 1.
    """

    def __init__(self, url: str, held: int) -> None:
        super().__init__(_Upstream(url, self), {})
        self._left = held
        self._counting = threading.Lock()
        self.arrived, self.go_on = threading.Event(), threading.Event()
        self.answer: int | None = None
        """Status of the held write, once it was forwarded."""

    def hold(self) -> bool:
        """Count a write; return whether it is the one to hold."""
        with self._counting:
            self._left -= 1
            return self._left == 0


class _Upstream:
    def __init__(self, url: str, proxy: HoldingProxy) -> None:
        self._url, self._proxy = url, proxy
        self._pool = urllib3.PoolManager(maxsize=32, retries=False)

    def open(self, method, target, *, headers, body=None, other=False, token=None) -> urllib3.BaseHTTPResponse:
        held = method == "PATCH" and "/deployments/" in target and self._proxy.hold()
        if held:
            self._proxy.arrived.set()
            self._proxy.go_on.wait()
        sent = dict(headers) | {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        found = self._pool.request(
            method, self._url + target, headers=sent, body=body, preload_content=False, redirect=False
        )
        if held:
            self._proxy.answer = found.status
        return found
