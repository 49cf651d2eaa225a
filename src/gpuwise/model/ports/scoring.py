"""What scoring needs: where tasks run, and where hours and profiles are kept."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

from gpuwise.model.billed import BilledUse
from gpuwise.model.inventory import WorkloadRef
from gpuwise.model.packed import Packed
from gpuwise.model.profile import UsageProfile

Item = TypeVar("Item")
Result = TypeVar("Result")


class Checkpoints(Protocol):
    """Where hours of usage are kept between runs; data that is lost here is read from the source again."""

    def load(self, workloads: Iterable[WorkloadRef]) -> Mapping[WorkloadRef, Sequence[bytes]]:
        """The saved checkpoints, ordered by name; none for an unknown workload."""
        ...

    def save(self, kept: Mapping[WorkloadRef, Mapping[str, bytes]]) -> None:
        """Save checkpoints by name and replace earlier ones of the same name; all of them or none."""
        ...

    def collect(self, workloads: Iterable[WorkloadRef], *, now_s: int) -> None:
        """Note the workloads of the fleet, and delete the checkpoints of those that no pass has listed for 100 days.

        Args:
            workloads: of the whole fleet.
            now_s: epoch seconds.
        """
        ...


class Profiles(Mapping[WorkloadRef, UsageProfile]):
    """The profiles of one pass, by workload, and by `node_ref` for unallocated devices.

    They are read from where they are stored one shard at a time, so it is cheap to read them in their own order, which
    is that of the inventory, and more expensive to read them in another one.
    """

    @abstractmethod
    def add(self, packed: Packed) -> None:
        """Store the profiles of a shard."""

    @property
    @abstractmethod
    def billed(self) -> Mapping[WorkloadRef, BilledUse]:
        """What the bill needs of each workload, which is stored apart from the profile."""


class Executor(Protocol):
    """Where pure work runs: in this process, or on Ray."""

    def map(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        *,
        same: Callable[[], Mapping[str, str]] | None = None,
    ) -> Iterator[Result]:
        """Apply a picklable function to each item; results come in the items' order, the same on every executor.

        Items are submitted as workers become free, not all at once.

        Args:
            function: the work; it holds no secret.
            items: its arguments.
            same: returns facts that must be equal on every machine that takes part, such as a digest of the data.

        Raises:
            SourceError: a machine failed, no machine has the same facts, or the time is over.
        """
        ...
