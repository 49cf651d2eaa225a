"""What to do about a finding: one class per kind of change."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from gpuwise.model.inventory import GpuRequest


@dataclass(frozen=True, slots=True)
class ScaleTo:
    """Set the number of replicas; 0 stops the workload and gives its GPUs back."""

    replicas: int
    kind: Literal["ScaleTo"] = "ScaleTo"


@dataclass(frozen=True, slots=True)
class Resize:
    """Give each replica another number of GPUs or a MIG slice."""

    current: GpuRequest
    proposed: GpuRequest
    kind: Literal["Resize"] = "Resize"


@dataclass(frozen=True, slots=True)
class MoveToSpot:
    """Prefer spot nodes, fall back to on-demand."""

    kind: Literal["MoveToSpot"] = "MoveToSpot"


@dataclass(frozen=True, slots=True)
class StopWhenIdle:
    """Scale to zero once nothing was asked of it for so long, and back at the next request.

    Attributes:
        after_s: seconds without a request.
    """

    after_s: int
    kind: Literal["StopWhenIdle"] = "StopWhenIdle"


@dataclass(frozen=True, slots=True)
class StopAtHours:
    """Scale to zero in the same hours of every week.

    Attributes:
        spans: [first, last) hours of the week, UTC; hour 0 begins on Monday at 00:00.
    """

    spans: tuple[tuple[int, int], ...]
    kind: Literal["StopAtHours"] = "StopAtHours"


class Sharing(StrEnum):
    """How one card serves several pods, the best isolated first."""

    MIG = "mig"
    MPS = "mps"
    TIME_SLICING = "time-slicing"


@dataclass(frozen=True, slots=True)
class Share:
    """Let others onto its card.

    Attributes:
        method: how; a node has one method for all of its cards.
        tenants: pods of its size that one card holds.
    """

    method: Sharing
    tenants: int
    kind: Literal["Share"] = "Share"


@dataclass(frozen=True, slots=True)
class ChangeGpuType:
    """Run on another type of card.

    Attributes:
        current: canonical name.
        proposed: canonical name.
    """

    current: str
    proposed: str
    kind: Literal["ChangeGpuType"] = "ChangeGpuType"


@dataclass(frozen=True, slots=True)
class CapPower:
    """Set the power limit of its cards.

    Attributes:
        limit_w: watts per card.
    """

    limit_w: float
    kind: Literal["CapPower"] = "CapPower"


@dataclass(frozen=True, slots=True)
class FreeNode:
    """Move a node's GPU pods elsewhere and give the node back.

    Attributes:
        moves: (workload, pod, node) for each pod that has to move.
    """

    moves: tuple[tuple[str, str, str], ...]
    kind: Literal["FreeNode"] = "FreeNode"


@dataclass(frozen=True, slots=True)
class Repartition:
    """Cut the GPUs of a node otherwise.

    Attributes:
        current: MIG profiles that the node offers now, with their number.
        proposed: those that it is to offer.
        freed_gpus: whole GPUs that this leaves.
    """

    current: tuple[tuple[str, int], ...]
    proposed: tuple[tuple[str, int], ...]
    freed_gpus: int
    kind: Literal["Repartition"] = "Repartition"


Change = (
    ScaleTo
    | Resize
    | MoveToSpot
    | StopWhenIdle
    | StopAtHours
    | Share
    | ChangeGpuType
    | CapPower
    | FreeNode
    | Repartition
)
