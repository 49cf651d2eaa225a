"""The profiles of a shard as bytes, and what the bill needs: what a worker returns and the loop keeps for the report.

Unpickling an object takes 1 µs, and a workload has hundreds of small ones. So rows are packed by column, and the
numbers of all profiles of the shard in a few arrays, of which a profile has views.
"""

import pickle
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, islice, pairwise
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.billed import BilledUse, ScoredUse
from gpuwise.model.gaps import RequestGaps
from gpuwise.model.inventory import WorkloadRef
from gpuwise.model.profile import (
    DayUse,
    Distribution,
    IdleEvidence,
    IdleIntervals,
    Rhythm,
    SignalVerdict,
    Stay,
    UsageProfile,
)
from gpuwise.model.signal import Signal

Made = TypeVar("Made")
Row = TypeVar("Row", bound=tuple[Any, ...])
Columns = tuple[tuple[Any, ...], ...]
State = dict[str, Any]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
GapsRow = tuple[int, int, int, int, int, int]

_PROTOCOL = 5
_WEIGHTS = ("observed", "used", "after_idle", "resumed", "busy_gpus")


@dataclass(frozen=True, slots=True)
class Packed:
    """The profiles of a shard, and what the bill needs.

    Attributes:
        workloads: whose they are, in order.
        profiles: the profiles.
        billed: what the bill needs.
    """

    workloads: tuple[WorkloadRef, ...]
    profiles: bytes
    billed: bytes


def pack(scored: Sequence[ScoredUse]) -> Packed:
    """Pack what scoring yielded; what several profiles share is packed once."""
    profiles, billed = [one.profile for one in scored], [one.billed for one in scored]
    states = [_state(one, without=("workload", "distributions", "idle", "rhythm", "gaps")) for one in profiles]
    parts = (_packed_idle, _packed_distributions, _packed_rhythms, _packed_gaps)
    packed = (states, *(part(profiles) for part in parts))
    rows = [(_columns(one.days), _columns(one.unseen_days), _columns(one.stays)) for one in billed]
    bills = ([_state(one, without=("workload", "days", "unseen_days", "stays")) for one in billed], rows)
    workloads = tuple(one.workload for one in profiles)
    return Packed(workloads, pickle.dumps(packed, _PROTOCOL), pickle.dumps(bills, _PROTOCOL))


def unpack(profiles: bytes, workloads: Sequence[WorkloadRef]) -> list[UsageProfile]:
    """Return the profiles of a shard.

    Args:
        profiles: of `Packed`, from this process or its worker: unpickling runs what the bytes say.
        workloads: of `Packed`.
    """
    states, idle, distributions, rhythms, gaps = pickle.loads(profiles)  # noqa: S301 - from `pack`
    parts = (_idle(*idle), _distributions(*distributions), _rhythms(*rhythms), _gaps(*gaps))
    return [
        _made(
            UsageProfile,
            {"workload": ref, **state, "idle": one, "distributions": by_signal, "rhythm": rhythm, "gaps": of_requests},
        )
        for ref, state, one, by_signal, rhythm, of_requests in zip(workloads, states, *parts, strict=True)
    ]


def unpack_billed(billed: bytes, workloads: Sequence[WorkloadRef]) -> list[BilledUse]:
    """Return what the bill needs of a shard.

    Args:
        billed: of `Packed`, as for `unpack`.
        workloads: of `Packed`.
    """
    states, rows = pickle.loads(billed)  # noqa: S301 - from `pack`
    return [
        _made(
            BilledUse,
            {
                "workload": ref,
                **state,
                "days": _rows(DayUse, days),
                "unseen_days": _rows(DayUse, unseen),
                "stays": _rows(Stay, stays),
            },
        )
        for ref, state, (days, unseen, stays) in zip(workloads, states, rows, strict=True)
    ]


def _state(one: object, *, without: Collection[str]) -> State:
    return {name: value for name, value in vars(one).items() if name not in without}


def _made(kind: type[Made], state: State) -> Made:
    """Make a dataclass without slots as pickle does, which takes a tenth of the time of its constructor."""
    made = object.__new__(kind)
    vars(made).update(state)
    return made


def _packed_distributions(profiles: Sequence[UsageProfile]) -> tuple[list[tuple[Signal, ...]], list[int], Floats]:
    """The signals of each profile, and of all distributions the lengths and the numbers, shape (2, buckets)."""
    every = [one for profile in profiles for one in profile.distributions.values()]
    numbers = np.zeros((2, sum(one.values.size for one in every)))
    if every:
        np.concatenate([one.values for one in every], out=numbers[0])
        np.concatenate([one.weights for one in every], out=numbers[1])
    return [tuple(one.distributions) for one in profiles], [one.values.size for one in every], numbers


def _distributions(
    signals: Sequence[Sequence[Signal]], lengths: Sequence[int], numbers: Floats
) -> Iterator[Mapping[Signal, Distribution]]:
    values, weights = numbers
    bounds = pairwise(accumulate(lengths, initial=0))
    every = (_made(Distribution, {"values": values[start:end], "weights": weights[start:end]}) for start, end in bounds)
    return (dict(zip(of_profile, islice(every, len(of_profile)), strict=True)) for of_profile in signals)


def _packed_rhythms(profiles: Sequence[UsageProfile]) -> tuple[list[int], Floats, NDArray[np.int64]]:
    """Which rhythm each profile has, and the columns of each; nodes without a device share one."""
    distinct = {id(one.rhythm): one.rhythm for one in profiles}
    numbers = {key: number for number, key in enumerate(distinct)}
    weights = np.array([[getattr(one, name) for name in _WEIGHTS] for one in distinct.values()])
    weeks = np.array([one.unused_weeks for one in distinct.values()])
    return [numbers[id(one.rhythm)] for one in profiles], weights, weeks


def _rhythms(numbers: Sequence[int], weights: Floats, weeks: NDArray[np.int64]) -> list[Rhythm]:
    distinct = [
        _made(Rhythm, {**dict(zip(_WEIGHTS, columns, strict=True)), "unused_weeks": unused})
        for columns, unused in zip(weights, weeks, strict=True)
    ]
    return [distinct[number] for number in numbers]


def _packed_idle(profiles: Sequence[UsageProfile]) -> tuple[list[State], list[Columns], list[int], NDArray[np.int64]]:
    """The scalars, verdicts and number of intervals of each profile; the bounds of all, shape (2, intervals)."""
    every = [one.idle for one in profiles]
    states = [_state(one, without=("intervals", "verdicts")) for one in every]
    bounds = np.zeros((2, sum(one.intervals.start_s.size for one in every)), dtype=np.int64)
    np.concatenate([one.intervals.start_s for one in every], out=bounds[0])
    np.concatenate([one.intervals.end_s for one in every], out=bounds[1])
    return states, [_columns(one.verdicts) for one in every], [one.intervals.start_s.size for one in every], bounds


def _idle(
    states: Sequence[State], verdicts: Sequence[Columns], lengths: Sequence[int], bounds: NDArray[np.int64]
) -> Iterator[IdleEvidence]:
    start_s, end_s = bounds
    for state, columns, (first, end) in zip(states, verdicts, _slices(lengths), strict=True):
        intervals = _made(IdleIntervals, {"start_s": start_s[first:end], "end_s": end_s[first:end]})
        yield _made(IdleEvidence, {**state, "intervals": intervals, "verdicts": _rows(SignalVerdict, columns)})


def _packed_gaps(profiles: Sequence[UsageProfile]) -> tuple[list[GapsRow | None], Integers, Integers]:
    """The scalars and array lengths of each profile's gaps; the spans of all, shape (2, gaps), and the pairs of all."""
    every = [one.gaps for one in profiles if one.gaps is not None]
    spans = np.zeros((2, sum(one.since_s.size for one in every)), dtype=np.int64)
    pairs = np.zeros(sum(one.pairs.size for one in every), dtype=np.int64)
    if every:
        np.concatenate([one.since_s for one in every], out=spans[0])
        np.concatenate([one.lasted_s for one in every], out=spans[1])
        np.concatenate([one.pairs for one in every], out=pairs)
    return [None if one.gaps is None else _gaps_row(one.gaps) for one in profiles], spans, pairs


def _gaps_row(gaps: RequestGaps) -> GapsRow:
    return gaps.step_s, gaps.start_s, gaps.end_s, gaps.unknown_s, gaps.since_s.size, gaps.pairs.size


def _gaps(rows: Sequence[GapsRow | None], spans: Integers, pairs: Integers) -> Iterator[RequestGaps | None]:
    at, day = 0, 0
    for row in rows:
        if row is None:
            yield None
            continue
        step_s, start_s, end_s, unknown_s, size, days = row
        since_s, lasted_s = spans[:, at : at + size]
        state = {"step_s": step_s, "start_s": start_s, "end_s": end_s, "since_s": since_s, "lasted_s": lasted_s}
        yield _made(RequestGaps, {**state, "pairs": pairs[day : day + days], "unknown_s": unknown_s})
        at, day = at + size, day + days


def _slices(lengths: Sequence[int]) -> Iterator[tuple[int, int]]:
    return pairwise(accumulate(lengths, initial=0))


def _columns(rows: Sequence[tuple[Any, ...]]) -> Columns:
    return tuple(zip(*rows, strict=True))


def _rows(kind: type[Row], columns: Columns) -> tuple[Row, ...]:
    # Not `_make`, which takes 1.6 times as long.
    return tuple(map(partial(tuple.__new__, kind), zip(*columns, strict=True)))
