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
        run: number of the work: what is left of earlier work is ignored.
    """

    function: Callable[[Any], Any]
    wanted: dict[str, str]
    same: Same | None
    limits: Limits
    run: int


@dataclass(frozen=True, slots=True)
class Item:
    """One item of work, pickled: only the worker reads it. Without a number, the work has no more."""

    run: int
    number: int | None
    value: bytes = b""


@dataclass(frozen=True, slots=True)
class Ready:
    """It is joined, or it can begin.

    Attributes:
        run: number of the work, 0 after joining.
        at_once: how many items to send before the first result is back.
        refused: nodes that get no work, each with the reason.
    """

    run: int
    at_once: int = 0
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """The result of an item.

    Attributes:
        run: number of the work.
        number: of the item.
        node: on which it ran.
        version: of gpuwise there.
        value: the result.
    """

    run: int
    number: int
    node: str
    version: str
    value: Any


@dataclass(frozen=True, slots=True)
class Failed:
    """The work failed.

    Attributes:
        run: number of the work, 0 for joining.
        error: to raise.
    """

    run: int
    error: Exception
