"""The profiles of a shard as bytes: what a worker returns, and what is stored until the report is compiled.

The use by day is the larger part of a profile: 140 rows for 10 GPUs on 5 nodes. So rows are packed by column, and apart
from the rest, because the bill needs the rows alone.
"""

import pickle
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from gpuwise.model.billed import BilledUse
from gpuwise.model.inventory import WorkloadRef
from gpuwise.model.profile import DayUse, Stay, UsageProfile

Row = TypeVar("Row", bound=tuple[Any, ...])
Columns = tuple[tuple[Any, ...], ...]

_PROTOCOL = 5


@dataclass(frozen=True, slots=True)
class Packed:
    """The profiles of a shard.

    Attributes:
        workloads: whose profiles these are, in order.
        profiles: all but the rows.
        billed: what the bill needs, with the rows.
    """

    workloads: tuple[WorkloadRef, ...]
    profiles: bytes
    billed: bytes


def pack(profiles: Sequence[UsageProfile]) -> Packed:
    """Pack some profiles; what they share is packed once."""
    bare = [replace(one, days=(), unseen_days=(), stays=()) for one in profiles]
    billed = [(BilledUse.of(few), _rows_of(one)) for few, one in zip(bare, profiles, strict=True)]
    workloads = tuple(one.workload for one in profiles)
    return Packed(workloads, pickle.dumps(bare, _PROTOCOL), pickle.dumps(billed, _PROTOCOL))


def unpack(profiles: bytes, billed: bytes) -> list[UsageProfile]:
    """Return the profiles of a shard.

    Args:
        profiles: of `Packed`, from this process or its worker: unpickling runs what the bytes say.
        billed: of the same `Packed`.
    """
    bare: list[UsageProfile] = pickle.loads(profiles)  # noqa: S301 - from `pack`
    uses = unpack_billed(billed)
    return [
        replace(one, days=use.days, unseen_days=use.unseen_days, stays=use.stays)
        for one, use in zip(bare, uses, strict=True)
    ]


def unpack_billed(billed: bytes) -> list[BilledUse]:
    """Return what the bill needs of the profiles of a shard.

    Args:
        billed: of `Packed`, as for `unpack`.
    """
    packed: list[tuple[BilledUse, tuple[Columns, Columns, Columns]]] = pickle.loads(billed)  # noqa: S301 - from `pack`
    return [
        replace(use, days=_rows(DayUse, days), unseen_days=_rows(DayUse, unseen), stays=_rows(Stay, stays))
        for use, (days, unseen, stays) in packed
    ]


def _rows_of(one: UsageProfile) -> tuple[Columns, Columns, Columns]:
    return _columns(one.days), _columns(one.unseen_days), _columns(one.stays)


def _columns(rows: Sequence[tuple[Any, ...]]) -> Columns:
    return tuple(zip(*rows, strict=True))


def _rows(kind: type[Row], columns: Columns) -> tuple[Row, ...]:
    # Not `_make`, which takes 1.6 times as long.
    return tuple(map(partial(tuple.__new__, kind), zip(*columns, strict=True)))
