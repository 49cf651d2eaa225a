"""Daily cost: GPU time by day, owner and price. The history of cost is made of these rows."""

from dataclasses import dataclass, field, fields
from typing import NamedTuple

from gpuwise.model.inventory import CapacityType


class Owner(NamedTuple):
    """What GPU time of pods is allocated to; None where nothing names it.

    Attributes:
        namespace: of the workload.
        workload: "Kind/name"; None for the deleted workloads of a namespace.
        organisation, team, project, model, user: as the tagging policy finds them in labels and annotations.
        endpoint: name of the endpoint that the workload serves; None if it serves none.
        phase: "experiment", "training" or "inference".
        creator: who created the workload, as its objects say: a person, a tool, a ServiceAccount.
    """

    namespace: str | None = None
    workload: str | None = None
    organisation: str | None = None
    team: str | None = None
    project: str | None = None
    model: str | None = None
    user: str | None = None
    endpoint: str | None = None
    phase: str | None = None
    creator: str | None = None


NOBODY = Owner()
"""The owner of time that no pod was allocated."""


class Price(NamedTuple):
    """What a GPU-hour costs, and where.

    Attributes:
        gpu_type: canonical name, None if unknown.
        capacity_type: how the node is paid for, None if unknown.
        region, zone: of the node, None if unknown.
        usd_per_gpu_h: dollars per whole GPU and hour, None if no price is known.
    """

    gpu_type: str | None = None
    capacity_type: CapacityType | None = None
    region: str | None = None
    zone: str | None = None
    usd_per_gpu_h: float | None = None


KEYS = (*Owner._fields, *Price._fields[:-1])
"""What cost can be allocated by."""


@dataclass(frozen=True, slots=True)
class GpuSeconds:
    """GPU-seconds in six classes, of one day in one pool or of a sum of these.

    Attributes:
        used: allocated and not idle.
        idle: allocated and idle.
        outside: not allocated to a pod, but at work.
        unallocated: not allocated to a pod, and known to be free.
        unknown: nobody measured it: allocated to pods without any sample, or not known to be free.
        stranded: the rest of cards that MIG divides, of which no instance was made.
    """

    used: float = 0.0
    idle: float = 0.0
    outside: float = 0.0
    unallocated: float = 0.0
    unknown: float = 0.0
    stranded: float = 0.0

    @property
    def capacity(self) -> float:
        """The sum of the classes."""
        return self.used + self.idle + self.outside + self.unallocated + self.unknown + self.stranded

    def __add__(self, other: "GpuSeconds") -> "GpuSeconds":
        """Add class by class."""
        return GpuSeconds(
            self.used + other.used,
            self.idle + other.idle,
            self.outside + other.outside,
            self.unallocated + other.unallocated,
            self.unknown + other.unknown,
            self.stranded + other.stranded,
        )


CLASSES = tuple(one.name for one in fields(GpuSeconds))


@dataclass(frozen=True, slots=True)
class CostRow:
    """The GPU time of one owner at one price on one UTC day.

    Attributes:
        day_s: midnight, epoch seconds.
        owner: whose pods had the GPUs; NOBODY for time that no pod was allocated.
        price: of a GPU-hour.
        time: GPU-seconds by class.
    """

    day_s: int
    owner: Owner
    price: Price
    time: GpuSeconds


@dataclass(frozen=True, slots=True)
class CostDay:
    """Which part of a day is in the history.

    Attributes:
        day_s: midnight, epoch seconds.
        from_s, until_s: the part of the day that was counted.
        closed: its rows are final: no later pass changes them.
    """

    day_s: int
    from_s: int
    until_s: int
    closed: bool


@dataclass(frozen=True, slots=True)
class CostSum:
    """The sum of the rows with the same values of some keys.

    Attributes:
        keys: values of the keys that were asked for, in that order; None where nothing names it.
        time: GPU-seconds by class.
        usd: dollars by class, of the time that has a price.
        unpriced: GPU-seconds by class, of the time without a price.
        nobody: the time belongs to no pod: unallocated, outside, stranded, or not known.
    """

    keys: tuple[str | int | None, ...]
    time: GpuSeconds
    usd: GpuSeconds
    unpriced: GpuSeconds = field(default_factory=GpuSeconds)
    nobody: bool = False
