"""The loop that simulates controllers, scheduler and kubelet: it runs after each write until nothing changes."""

import threading
from types import TracebackType
from typing import Self

from gpuwise.emulate.autoscalers import run_autoscalers
from gpuwise.emulate.budgets import run_budgets
from gpuwise.emulate.claims import run_claims
from gpuwise.emulate.clusters import run_namespaces, run_nodes
from gpuwise.emulate.definitions import run_definitions
from gpuwise.emulate.deployments import run_deployments
from gpuwise.emulate.garbage import run_garbage_collector
from gpuwise.emulate.jobs import run_jobs
from gpuwise.emulate.notebooks import run_notebooks
from gpuwise.emulate.quotas import run_quotas
from gpuwise.emulate.replicasets import run_replicasets
from gpuwise.emulate.scheduler import run_kubelet, run_scheduler
from gpuwise.emulate.statefulsets import run_statefulsets
from gpuwise.emulate.store import ObjectStore
from gpuwise.emulate.volumes import run_volume_protection, run_volumes

# Owners before their dependents, so that one pass carries a change from the top to the pods.
STEPS = (
    run_definitions,
    run_namespaces,
    run_nodes,
    run_garbage_collector,
    run_notebooks,
    run_deployments,
    run_replicasets,
    run_statefulsets,
    run_jobs,
    run_kubelet,
    run_claims,
    run_volumes,
    run_scheduler,
    run_budgets,
    run_quotas,
    run_autoscalers,
    run_volume_protection,
)


class ControlLoop:
    """Runs in a separate thread within a `with` block.

    Args:
        store: the store that it watches and writes.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._changed = threading.Condition(store.lock)
        self._settled = 0
        self._stopping = False
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="emulated-controllers", daemon=True)

    def __enter__(self) -> Self:
        self._store.subscribe(self._wake)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join()
        self._store.unsubscribe(self._wake)

    def settle(self, timeout_s: float) -> None:
        """Wait until the controllers have nothing left to do.

        Raises:
            TimeoutError: they were not done after `timeout_s` seconds.
        """
        with self._changed:
            done = self._changed.wait_for(lambda: self._failure or self._settled == self._store.version, timeout_s)
        if self._failure is not None:
            raise RuntimeError("an emulated controller failed") from self._failure
        if not done:
            raise TimeoutError(f"the emulated controllers still had work after {timeout_s} s")

    def _wake(self) -> None:
        self._changed.notify_all()

    def _run(self) -> None:
        while not self._stopping and self._failure is None:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._stopping or self._settled != self._store.version, timeout=self._left_s()
                )
                self._pass()

    def _left_s(self) -> float | None:
        """Seconds until a controller needs to run again, None for never."""
        due_s = self._store.due_s
        return None if due_s is None else max(0.05, due_s - self._store.epoch_s)

    def _pass(self) -> None:
        """Run every step once; the store is settled if nothing was written."""
        before = self._store.version
        self._store.due_s = None
        try:
            for step in STEPS:
                step(self._store)
        except Exception as error:  # noqa: BLE001  # raised by settle(): a thread has no caller
            self._failure = error
        if self._store.version == before:
            self._settled = before
        self._changed.notify_all()
