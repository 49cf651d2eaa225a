"""What to do about a finding: one class per kind of change."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from gpuwise.model.inventory import GpuRequest


@dataclass(frozen=True, slots=True)
class ScaleTo:
    """Set the number of replicas; 0 stops the workload and releases its GPUs."""

    replicas: int
    kind: Literal["ScaleTo"] = "ScaleTo"


@dataclass(frozen=True, slots=True)
class Resize:
    """Change the number of GPUs per replica, or replace them by MIG slices."""

    current: GpuRequest
    proposed: GpuRequest
    kind: Literal["Resize"] = "Resize"


@dataclass(frozen=True, slots=True)
class MoveToSpot:
    """Run on spot nodes, with on-demand nodes as the fallback.

    Attributes:
        zone: the zone to prefer; None if the zones do not differ.
        only: without the fallback: while there is no spot node, its pods wait.
    """

    zone: str | None = None
    only: bool = False
    kind: Literal["MoveToSpot"] = "MoveToSpot"


@dataclass(frozen=True, slots=True)
class MoveToOnDemand:
    """Run on other nodes than spot nodes."""

    kind: Literal["MoveToOnDemand"] = "MoveToOnDemand"


@dataclass(frozen=True, slots=True)
class StopWhenIdle:
    """Scale to zero after a time without requests, and up again at the next request.

    Attributes:
        after_s: seconds without a request.
    """

    after_s: int
    kind: Literal["StopWhenIdle"] = "StopWhenIdle"


@dataclass(frozen=True, slots=True)
class StopAtHours:
    """Scale to zero in the same hours of every week.

    Attributes:
        spans: half-open ranges [first, last) of hours of the week, UTC; hour 0 begins on Monday at 00:00.
    """

    spans: tuple[tuple[int, int], ...]
    kind: Literal["StopAtHours"] = "StopAtHours"


class Sharing(StrEnum):
    """How several pods share one GPU, from the strongest isolation to the weakest."""

    MIG = "mig"
    MPS = "mps"
    TIME_SLICING = "time-slicing"


@dataclass(frozen=True, slots=True)
class Share:
    """Let other pods use the same GPU.

    Attributes:
        method: how the GPU is shared; a node uses one method for all of its GPUs.
        tenants: how many pods of this size fit on one GPU.
    """

    method: Sharing
    tenants: int
    kind: Literal["Share"] = "Share"


@dataclass(frozen=True, slots=True)
class ChangeGpuType:
    """Run on another GPU type.

    Attributes:
        current: canonical name of the present type.
        proposed: canonical name of the new type.
    """

    current: str
    proposed: str
    kind: Literal["ChangeGpuType"] = "ChangeGpuType"


@dataclass(frozen=True, slots=True)
class CapPower:
    """Set the power limit of the GPUs.

    Attributes:
        limit_w: watts per GPU.
    """

    limit_w: float
    kind: Literal["CapPower"] = "CapPower"


@dataclass(frozen=True, slots=True)
class MoveToRegion:
    """Run in regions that the data allow.

    Attributes:
        current: regions in which it runs and must not.
        allowed: regions in which it may run; empty if no region is allowed.
    """

    current: tuple[str, ...]
    allowed: tuple[str, ...]
    kind: Literal["MoveToRegion"] = "MoveToRegion"


@dataclass(frozen=True, slots=True)
class FreeNode:
    """Move a node's GPU pods to other nodes, then drain and remove the node.

    Attributes:
        moves: (workload, pod, node) for each pod that has to move, in an order in which each pod fits at its time; some
            may be pods of other nodes, which make space. Recommendations to free several nodes may share such moves:
            each move is made once.
    """

    moves: tuple[tuple[str, str, str], ...]
    kind: Literal["FreeNode"] = "FreeNode"


@dataclass(frozen=True, slots=True)
class MakeSpace:
    """Let a pod that waits run on a node.

    Attributes:
        node: the node on which it fits.
        moves: (workload, pod, node) for each pod that has to leave that node first; empty if the pod fits now.
    """

    node: str
    moves: tuple[tuple[str, str, str], ...]
    kind: Literal["MakeSpace"] = "MakeSpace"


@dataclass(frozen=True, slots=True)
class Repartition:
    """Reconfigure MIG on the GPUs of a node.

    Attributes:
        current: the MIG profiles that the node offers now, with their numbers.
        proposed: the MIG profiles that it offers afterwards, with their numbers.
        freed_gpus: whole GPUs that become free.
    """

    current: tuple[tuple[str, int], ...]
    proposed: tuple[tuple[str, int], ...]
    freed_gpus: int
    kind: Literal["Repartition"] = "Repartition"


Change = (
    ScaleTo
    | Resize
    | MoveToSpot
    | MoveToOnDemand
    | StopWhenIdle
    | StopAtHours
    | Share
    | ChangeGpuType
    | CapPower
    | MoveToRegion
    | FreeNode
    | MakeSpace
    | Repartition
)
