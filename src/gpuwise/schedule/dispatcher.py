"""Decides which item runs where and when: one supervised actor per cluster. It runs in Ray.

It opens no ledger, reads no data, and has no credential: it only places work on nodes that were accepted.
"""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError

from gpuwise.model.errors import SourceError
from gpuwise.schedule.installation import differences
from gpuwise.schedule.limits import Limits
from gpuwise.schedule.nodes import Node, Nodes, pinned
from gpuwise.schedule.ray_errors import meaning
from gpuwise.schedule.work import Differs, Refused, Same, run

_REFRESH_S = 5.0
"""How often nodes that joined the cluster are looked for."""


@dataclass(frozen=True, slots=True)
class Done:
    """The result of an item.

    Attributes:
        node: name of the node on which it ran.
        version: version of gpuwise there.
        result: one reference to the result, in a list so that Ray passes it on unread.
    """

    node: str
    version: str
    result: list[Any]


class Dispatcher:
    """Runs items on accepted nodes: as many at once as a node has CPUs, each in its time, elsewhere if it fails.

    Args:
        wanted: what must be equal on every node.
        same: returns the facts of the data on a node.
        limits: deadlines and tries.
    """

    def __init__(self, wanted: Mapping[str, str], same: Same | None, limits: Limits) -> None:
        self._limits = limits
        self._nodes = Nodes(wanted, same, limits)
        # Made once: each remote function is exported to the cluster, and read from there by each worker.
        self._task = ray.remote(num_cpus=1, num_returns=2, max_retries=0)(run)
        self._changed = asyncio.Event()
        self._looked = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None

    async def refusals(self) -> tuple[str, ...]:
        """Return the refused nodes, each with the reason."""
        return self._nodes.refusals

    async def run(self, number: int, function: list[Any], item: bytes) -> Done:
        """Run one item.

        Args:
            number: of the item, for messages.
            function: one reference to the function, in a list, so that it is passed on unread.
            item: the item, pickled.

        Raises:
            SourceError: it failed on every node on which it was tried.
        """
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch())
        await self._looked.wait()
        tried: list[str] = []
        failure = "no node was accepted", "use gpuwise's image for every node of the cluster (docs/ray.md)"
        while len(tried) < self._limits.tries:
            node = await self._slot(avoid=tried)
            if node is None:
                break
            tried.append(node.name)
            try:
                found = await self._on(node, function, item)
            except TimeoutError:
                failure = f"it took longer than {self._limits.item_s:g} s", "raise schedule.item_timeout_s"
                self._nodes.forget(node)  # it may be cut off
            except RayError as error:
                failure = meaning(error)
                self._nodes.forget(node)
            else:
                if isinstance(found, Done):
                    return found
                self._nodes.refuse(node, found)
                failure = found, failure[1]
            finally:
                node.running -= 1
                self._changed.set()
        where = f" on {', '.join(f'node {name}' for name in dict.fromkeys(tried))}" if tried else ""
        refused = "".join(f"; {one}" for one in self._nodes.refusals)
        raise SourceError(f"shard {number} failed{where}: {failure[0]}{refused}", hint=failure[1])

    async def _on(self, node: Node, function: list[Any], item: bytes) -> Done | str:
        """Run an item on a node; return how the node differs if it is not what was accepted."""
        wanted = self._nodes.wanted
        task = self._task.options(scheduling_strategy=pinned(node.id))
        state, result = task.remote(wanted, function, item)
        try:
            async with asyncio.timeout(self._limits.item_s):
                wrong = await state
        except TimeoutError:
            ray.cancel(state, force=True)
            raise
        if isinstance(wrong, Differs):
            return differences({name: wanted[name] for name in wrong.facts}, wrong.facts)
        if isinstance(wrong, Refused):
            raise wrong.error
        return Done(node.name, wanted["gpuwise"], [result])

    async def _slot(self, *, avoid: Collection[str]) -> Node | None:
        """Wait for a node with a free slot, preferably one that was not tried; None if no node is accepted."""
        while True:
            nodes = list(self._nodes.accepted.values())
            if not nodes:
                await self._nodes.look()
                nodes = list(self._nodes.accepted.values())
                if not nodes:
                    return None
            fresh = [node for node in nodes if node.name not in avoid] or nodes
            free = [node for node in fresh if node.running < node.slots]
            if free:
                node = min(free, key=lambda one: one.running / one.slots)
                node.running += 1
                return node
            self._changed.clear()
            await self._changed.wait()

    async def _watch(self) -> None:
        while True:
            await self._nodes.look()
            self._looked.set()
            self._changed.set()
            await asyncio.sleep(_REFRESH_S)
