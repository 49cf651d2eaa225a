"""What the process of gpuwise and the one that is joined to Ray tell each other."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gpuwise.schedule.limits import Limits
from gpuwise.schedule.work import Same


@dataclass(frozen=True, slots=True)
class Join:
    """Join Ray.

    Attributes:
        address: of a cluster; None starts a local Ray.
        workers: CPUs of a local Ray, None for all.
    """

    address: str | None
    workers: int | None


@dataclass(frozen=True, slots=True)
class Begin:
    """Begin to work: items follow.

    Attributes:
        function: the work.
        wanted: what must be equal on every node.
        same: returns the facts of the data.
        limits: deadlines and tries.
    """

    function: Callable[[Any], Any]
    wanted: dict[str, str]
    same: Same | None
    limits: Limits


@dataclass(frozen=True, slots=True)
class Item:
    """One item of work; None instead of an item ends the work."""

    number: int
    value: Any


@dataclass(frozen=True, slots=True)
class Ready:
    """It is joined, or it can begin.

    Attributes:
        at_once: how many items to send before the first result is back.
        refused: nodes that get no work, each with the reason.
    """

    at_once: int
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """The result of an item.

    Attributes:
        number: of the item.
        node: on which it ran.
        version: of gpuwise there.
        value: the result.
    """

    number: int
    node: str
    version: str
    value: Any


@dataclass(frozen=True, slots=True)
class Failed:
    """The work failed.

    Attributes:
        error: to raise.
    """

    error: Exception
