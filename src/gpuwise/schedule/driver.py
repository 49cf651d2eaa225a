"""The process that is joined to Ray. gpuwise's own process talks to it through a pipe, and never imports Ray.

So nothing that Ray, a worker or a library prints can reach gpuwise's stdout; Ray may end this process when it loses the
cluster; and no process of Ray has the credentials that gpuwise's own process has.
"""

import asyncio
import logging
import os
import pickle
import queue
import sys
import threading
from collections import deque
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

import ray
from ray.exceptions import ActorDiedError, ActorUnavailableError, RayError, RayTaskError

from gpuwise.model.errors import GpuwiseError, SourceError
from gpuwise.schedule.dispatcher import Dispatcher, Done
from gpuwise.schedule.messages import Begin, Failed, Item, Join, Ready, Result
from gpuwise.schedule.nodes import Nodes, pinned
from gpuwise.schedule.ray_errors import failed

_QUEUED_PER_SLOT = 3
"""Items sent for each one that runs: a worker never waits for its next one."""
_POLL_S = 0.1


def main() -> None:
    """Serve the pipe whose descriptor is the first argument until it is closed."""
    with Connection(int(sys.argv[1])) as pipe:
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        try:
            _serve(pipe, _Inbox(pipe))
        except (EOFError, BrokenPipeError):
            return
        finally:
            ray.shutdown()


class _Inbox:
    """Reads messages as they arrive: a process that only sent would wait for one that does, too."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._messages: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._first: Any = None
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        try:
            while True:
                self._messages.put(self._pipe.recv())
        except (EOFError, OSError):
            self._messages.put(EOFError())

    def put_back(self, message: Any) -> None:
        """Return a message that was taken; it is the next one."""
        self._first = message

    def take(self, *, wait: bool) -> Any:
        """Return the next message.

        Raises:
            queue.Empty: there is none, and it does not wait.
            EOFError: the pipe is closed.
        """
        if self._first is not None:
            message, self._first = self._first, None
            return message
        message = self._messages.get(block=wait)
        if isinstance(message, EOFError):
            raise message
        return message


def _serve(pipe: Connection, inbox: _Inbox) -> None:
    join: Join = inbox.take(wait=True)
    shown = join.address or "local"
    try:
        _join(join)
    except (OSError, RayError, RuntimeError, ValueError) as error:
        pipe.send(Failed(0, failed(f"joining Ray at {shown}", error)))
        return
    pipe.send(Ready(run=0))
    place = _Place(shown)
    while True:
        begin = inbox.take(wait=True)
        if not isinstance(begin, Begin):
            continue  # an item of work that failed
        try:
            _Work(pipe, inbox, begin, place).run()
        except RayTaskError as error:
            cause = error.cause if isinstance(error.cause, Exception) else error
            pipe.send(Failed(begin.run, _sendable(cause)))
        except RayError as error:
            pipe.send(Failed(begin.run, failed(f"working on Ray at {shown}", error)))
        except GpuwiseError as error:
            pipe.send(Failed(begin.run, error))


def _sendable(error: Exception) -> Exception:
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - its own
    except Exception:  # noqa: BLE001 - whatever such an error's class does
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _join(join: Join) -> None:
    local: dict[str, Any] = {"num_cpus": join.workers, "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    ray.init(
        address=join.address or "local",
        namespace="gpuwise",
        logging_level=logging.ERROR,
        log_to_driver=False,
        **(local if join.address is None else {}),
    )


class _Place:
    """The dispatcher on an accepted node, kept from one function to the next.

    Args:
        cluster: name of the cluster, for messages.
    """

    def __init__(self, cluster: str) -> None:
        self._cluster = cluster
        self._for: tuple[Any, ...] = ()
        self.dispatcher: Any = None
        self.nodes: Nodes

    def take(self, begin: Begin) -> None:
        """Start the dispatcher, unless it is there for the same data and limits.

        Raises:
            SourceError: no node is accepted.
        """
        wanted = begin.wanted, pickle.dumps(begin.same), begin.limits
        if self.dispatcher is None or self._for != wanted:
            self.start(begin)
            self._for = wanted

    def start(self, begin: Begin) -> None:
        """Start the dispatcher on a node that was just accepted.

        Raises:
            SourceError: no node is accepted.
        """
        self.nodes = nodes = Nodes(begin.wanted, begin.same, begin.limits)
        asyncio.run(nodes.look())
        if not nodes.accepted:
            refused = "; ".join(nodes.refusals) or "it has no node with a CPU"
            problem = f"no node of Ray at {self._cluster} can take work: {refused}"
            raise SourceError(problem, hint="use the same gpuwise image and the same data on every node (docs/ray.md)")
        options = {"num_cpus": 0, "scheduling_strategy": pinned(min(nodes.accepted)), "max_concurrency": 10_000}
        self.dispatcher = ray.remote(**options)(Dispatcher).remote(begin.wanted, begin.same, begin.limits)


class _Work:
    """One function on many items."""

    def __init__(self, pipe: Connection, inbox: _Inbox, begin: Begin, place: _Place) -> None:
        self._pipe, self._inbox, self._begin, self._place = pipe, inbox, begin, place
        self._function = [ray.put(begin.function)]
        self._running: dict[Any, tuple[int, bytes, int]] = {}
        self._ended = False

    def run(self) -> None:
        self._place.take(self._begin)
        nodes = self._place.nodes
        self._pipe.send(Ready(self._begin.run, max(2, nodes.slots * _QUEUED_PER_SLOT), nodes.refusals))
        while self._running or not self._ended:
            self._receive()
            self._deliver()

    def _receive(self) -> None:
        """Pass on the items that have arrived; wait for one if nothing else is to do."""
        with suppress(queue.Empty):
            while not self._ended:
                item: Item | Begin = self._inbox.take(wait=not self._running)
                if isinstance(item, Begin):  # the other side no longer wants the results
                    self._inbox.put_back(item)
                    self._running.clear()
                    self._ended = True
                elif item.run == self._begin.run and item.number is not None:
                    self._submit(item.number, item.value, tries=1)
                elif item.run == self._begin.run:
                    self._ended = True

    def _submit(self, number: int, item: bytes, *, tries: int) -> None:
        reference = self._place.dispatcher.run.remote(number, self._function, item)
        self._running[reference] = (number, item, tries)

    def _deliver(self) -> None:
        if not self._running:
            return
        ready, _ = ray.wait(list(self._running), num_returns=1, timeout=_POLL_S)
        for reference in ready:
            number, item, tries = self._running.pop(reference)
            try:
                done: Done = ray.get(reference)
                value = ray.get(done.result[0])
            except (ActorDiedError, ActorUnavailableError, RayError) as error:
                if isinstance(error, RayTaskError) or tries >= self._begin.limits.tries:
                    raise
                self._again((number, item, tries))
                continue
            self._pipe.send(Result(self._begin.run, number, done.node, done.version, value))

    def _again(self, lost: tuple[int, bytes, int]) -> None:
        """Start the dispatcher again, elsewhere if its node is gone, with all that it had not finished."""
        unfinished = deque([lost, *self._running.values()])
        self._running.clear()
        self._place.start(self._begin)
        for number, item, tries in unfinished:
            self._submit(number, item, tries=tries + 1)


if __name__ == "__main__":
    main()
