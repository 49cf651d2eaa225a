"""The nodes of a Ray cluster: each must show that it has the same gpuwise and the same data before it gets work."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from gpuwise.schedule.installation import differences
from gpuwise.schedule.limits import Limits
from gpuwise.schedule.ray_errors import meaning
from gpuwise.schedule.work import Refused, Same, probe


@dataclass
class Node:
    """A node of the cluster.

    Attributes:
        id: in Ray.
        name: for people.
        slots: how many items it runs at once: its CPUs.
        running: how many it runs now.
    """

    id: str
    name: str
    slots: int
    running: int = 0


@dataclass
class Nodes:
    """The accepted and the refused nodes.

    Attributes:
        wanted: what must be equal on every node.
        same: returns the facts of the data on a node.
        limits: the deadline of a probe.
        accepted: by id.
        refused: by id, the name and the reason.
    """

    wanted: Mapping[str, str]
    same: Same | None
    limits: Limits
    accepted: dict[str, Node] = field(default_factory=dict)
    refused: dict[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def slots(self) -> int:
        """How many items run at once."""
        return sum(node.slots for node in self.accepted.values())

    @property
    def refusals(self) -> tuple[str, ...]:
        """The refused nodes, each with the reason, for messages."""
        return tuple(sorted(f"node {name}: {why}" for name, why in self.refused.values()))

    async def look(self) -> None:
        """Probe the nodes that joined, and forget those that left."""
        alive = {
            found["NodeID"]: found
            for found in await asyncio.to_thread(ray.nodes)
            if found["Alive"] and found["Resources"].get("CPU", 0) >= 1
        }
        for gone in self.accepted.keys() - alive.keys():
            del self.accepted[gone]
        new = [
            _node(key, found) for key, found in alive.items() if key not in self.accepted.keys() | self.refused.keys()
        ]
        await asyncio.gather(*map(self._probe, new))

    def refuse(self, node: Node, why: str) -> None:
        """Give a node no more work."""
        self.accepted.pop(node.id, None)
        self.refused[node.id] = node.name, why

    def forget(self, node: Node) -> None:
        """Give a node no more work until it was probed again."""
        self.accepted.pop(node.id, None)

    async def _probe(self, node: Node) -> None:
        task = ray.remote(num_cpus=0, max_retries=0)(probe).options(scheduling_strategy=pinned(node.id))
        reference: Any = task.remote(self.same)
        try:
            async with asyncio.timeout(self.limits.probe_s):
                found = await reference
        except TimeoutError:
            ray.cancel(reference, force=True)
            self.refuse(node, f"it did not respond within {self.limits.probe_s:g} s")
        except RayError as error:
            self.refuse(node, meaning(error)[0])
        else:
            if isinstance(found, Refused):
                self.refuse(node, str(getattr(found.error, "problem", found.error)))
            elif why := differences(self.wanted, found):
                self.refuse(node, why)
            else:
                self.accepted[node.id] = node


def pinned(node_id: str) -> NodeAffinitySchedulingStrategy:
    """Return the strategy that runs a task on one node, and nowhere else."""
    return NodeAffinitySchedulingStrategy(node_id, soft=False)


def _node(key: str, found: Mapping[str, Any]) -> Node:
    name, address = str(found.get("NodeName") or found["NodeManagerHostname"]), found["NodeManagerAddress"]
    return Node(key, name if name == address else f"{name} ({address})", int(found["Resources"]["CPU"]))
