"""Distributes pure work over Ray workers. The only file that imports ray."""

import logging
import os
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar

import ray
from ray.exceptions import RayError, RayTaskError

from gpuwise.model.errors import GpuwiseError, SourceError

Item = TypeVar("Item")
Result = TypeVar("Result")

# A worker that dies loses nothing: tasks are pure, so they are run again.
_RETRIES = 3
# Enough tasks that a worker never waits for its next one while the oldest is still running.
_QUEUED_PER_CPU = 4
_REACH_S = 5.0


class RayExecutor:
    """The `Executor` port on Ray: a local Ray that it starts, or a cluster that it joins.

    Args:
        address: of a cluster ("ray://host:10001" or "host:6379"), None for a local Ray.
        workers: CPUs of the local Ray, None for all CPUs.

    Raises:
        SourceError: the cluster cannot be joined.
    """

    def __init__(self, address: str | None = None, workers: int | None = None) -> None:
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        local: dict[str, Any] = {"num_cpus": workers, "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
        if address is not None:
            _reach(address)
        try:
            ray.init(
                address=address or "local",
                logging_level=logging.ERROR,
                log_to_driver=False,
                **(local if address is None else {}),
            )
        except (ConnectionError, RayError, RuntimeError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise SourceError(
                f"cannot join Ray at {address or 'local'}: {reason}", hint="check --ray-address"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        ray.shutdown()

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """See the port; the closure of `function` is transferred once, through shared memory."""
        shared = ray.put(function)
        task = ray.remote(max_retries=_RETRIES)(_call)
        most = max(2, int(_QUEUED_PER_CPU * ray.cluster_resources().get("CPU", 1)))
        running: deque[Any] = deque()
        for item in items:
            running.append(task.remote(shared, item))
            if len(running) >= most:
                yield _result(running.popleft())
        while running:
            yield _result(running.popleft())


def _reach(address: str) -> None:
    """Fail at once if nothing listens at the address: ray itself retries for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_REACH_S).close()
    except (OSError, ValueError) as error:
        raise SourceError(f"cannot join Ray at {address}: {error}", hint="check --ray-address") from error


def _call(function: Callable[[Item], Result], item: Item) -> Result:
    return function(item)


def _result(reference: Any) -> Any:
    """The result of a task, or its error, raised as if it had been raised here."""
    try:
        return ray.get(reference)
    except RayTaskError as error:
        cause = error.cause
        if isinstance(cause, GpuwiseError):
            raise type(cause)(cause.problem, hint=cause.hint) from error
        raise
    except RayError as error:
        raise SourceError(
            f"a Ray worker failed: {str(error).splitlines()[0]}", hint="run again, or use --executor local"
        ) from error
