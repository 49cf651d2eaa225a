"""Where the fleet and its usage are read."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from gpuwise.model.inventory import Inventory, Node, Workload
from gpuwise.model.recommendation import Evidence
from gpuwise.model.usage import UsageSeries, Window

Cite = Callable[[Workload, Evidence], str | None]
"""Returns the query for the samples behind a number about a workload, or None if the source has no such samples."""


class UsageSource(Protocol):
    """Where usage is read. It is picklable, because scoring workers read their own shards."""

    def read(self, workloads: Sequence[Workload], inventory: Inventory, window: Window) -> Iterator[UsageSeries]:
        """Yield one series per workload, in the order of `workloads`; without samples the series has no devices.

        Raises:
            SourceError: the source is unreachable, refuses, or returns partial or invalid data; this never becomes an
                empty result.
        """
        ...

    def read_nodes(self, nodes: Sequence[Node], inventory: Inventory, window: Window) -> Iterator[UsageSeries]:
        """Yield one series per node, in the order of `nodes`, with its devices while they were unallocated.

        The workload of such a series is `node_ref(node)`, its devices' pod is "". Work on these devices is use outside
        Kubernetes. A device-level row next to the rows of pods that share the device is not part of it.

        Raises:
            SourceError: as `read`.
        """
        ...

    def read_deleted(self, inventory: Inventory, window: Window) -> Iterator[UsageSeries]:
        """Yield the usage of the pods that no workload of the inventory owns, one series for each namespace.

        The workload of such a series is `deleted_ref(namespace)`. It is billed; nothing is recommended for it.

        Raises:
            SourceError: as `read`.
        """
        ...

    def past_nodes(self, inventory: Inventory, window: Window) -> Sequence[Node]:
        """The nodes with GPUs that existed in a window and no longer exist, as far as the source knows them.

        Each has `gone_s`. A node that may belong to another cluster is not one of them (I28).

        Raises:
            SourceError: as `read`.
        """
        ...

    def identity(self) -> Mapping[str, str]:
        """Facts about the data: two machines on which they are equal read the same data.

        Raises:
            SourceError: as `read`.
        """
        ...

    @property
    def lists_allocations(self) -> bool:
        """Whether pods without samples had no GPU: the source lists every allocation, with its share of the card."""
        ...

    def cite(self, window: Window) -> Cite:
        """The function that returns queries for the samples of a window, in the source's own language.

        Raises:
            SourceError: as `read`.
        """
        ...

    def describe(self) -> str:
        """Describe in one sentence what can be read here now.

        Raises:
            SourceError: nothing can be read; the message has the reason.
        """
        ...


class InventorySource(Protocol):
    """Where the fleet is read."""

    def snapshot(self, now_s: int) -> Inventory:
        """List everything, or fail as a whole.

        Raises:
            ClusterError: one of the lists failed; an error never becomes an empty list.
        """
        ...
