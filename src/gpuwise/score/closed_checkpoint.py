"""Encodes closed days as bytes and decodes them, to keep them between the passes of a day.

They are derived from the hours of a checkpoint (`gpuwise.score.checkpoint`) and belong to one window: without them, or
with those of another version, window or checkpoint, the hours themselves are summarised again. So only this version is
read.

The bytes are `MAGIC`, a CRC-32 of the rest, 4 bytes of header length, a JSON header, then the arrays, little-endian.
The bits of steps are compressed; the numbers are not: they are few and hardly become smaller.
"""

import json
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.hours import DAY_H, DEVICE_SIGNALS, HOUR_S, HourRows, PodDevice, UsageHours
from gpuwise.model.inventory import WorkloadRef
from gpuwise.model.signal import Signal
from gpuwise.score.checkpoint import UnreadableCheckpointError, decode, encode
from gpuwise.score.closed import ClosedDays, RowsOf
from gpuwise.score.histogram import Weighted
from gpuwise.score.hours import select_days
from gpuwise.score.measures import DAILY
from gpuwise.score.summary import DeviceSummary, Levels

MAGIC = b"gpuwise-days/2\n"

_WIDE = len(DEVICE_SIGNALS)


def is_closed_days(checkpoint: bytes) -> bool:
    """Whether a checkpoint has closed days."""
    return checkpoint.startswith(b"gpuwise-days/")


def encode_closed(closed: ClosedDays, past: bytes) -> bytes:
    """Encode closed days as bytes.

    Args:
        closed: of one workload.
        past: the checkpoint with their hours.
    """
    devices, workload = closed.devices.values(), closed.others.workload
    since = None if closed.since is None else [closed.since[0], list(closed.since[1])]
    others = encode(closed.others) if _has_rows(closed.others) else b""
    packed = zlib.compress(b"".join(array.tobytes() for array in _steps(devices)), level=1)
    header = {
        "workload": [workload.namespace, workload.kind, workload.name, workload.uid],
        "past": _mark(past),
        "half_life_s": closed.half_life_s,
        "hours": [closed.others.step_s, closed.first_hour, closed.end_hour],
        "work_metric": closed.others.work_metric,
        "signals": DEVICE_SIGNALS,
        "devices": [
            [key, one.first_hour, one.first_step, one.end_step, one.voters, one.dropped, one.hours, one.memory.size]
            for key, one in closed.devices.items()
        ],
        "counts": {signal: len(buckets) for signal, (buckets, _) in closed.counts.items()},
        "since": since,
        "packed": len(packed),
        "others": len(others),
    }
    text = json.dumps(header).encode()
    rest = b"".join(
        [len(text).to_bytes(4, "little"), text, packed, others, *(array.tobytes() for array in _numbers(closed))]
    )
    return MAGIC + zlib.crc32(rest).to_bytes(4, "little") + rest


def _has_rows(others: UsageHours) -> bool:
    return not (others.requests is None and others.scrapes is None and others.work is None and not others.paces)


def _mark(past: bytes) -> list[int]:
    """What identifies a checkpoint, and shows whether it is damaged."""
    return [len(past), zlib.crc32(past)]


def _steps(devices: Collection[DeviceSummary]) -> Iterator[NDArray[Any]]:
    for name in ("idle", "active", "sampled"):
        yield from (getattr(one, name) for one in devices)


def _numbers(closed: ClosedDays) -> Iterator[NDArray[Any]]:
    for one in closed.devices.values():
        yield from (one.levels.highest, one.busy_sum, one.levels.seen, one.busy_seen)
    yield from (one.memory for one in closed.devices.values())
    yield from (one.measures for one in closed.devices.values())
    if closed.since is not None:
        for levels in closed.since[1].values():
            yield from (levels.highest, levels.seen)
    for buckets, weights in closed.counts.values():
        yield from (weights, buckets.astype(np.uint16))


def decode_closed(
    checkpoint: bytes, past: bytes, *, first_hour: int, end_hour: int, half_life_s: int
) -> ClosedDays | None:
    """Decode closed days; None if they are of another window, of other settings or of another checkpoint.

    Args:
        checkpoint: written by `encode_closed`.
        past: the checkpoint with their hours.
        first_hour: first hour of the days, hours since the epoch.
        end_hour: first hour after them.
        half_life_s: seconds in which a sample's weight halves.

    Raises:
        UnreadableCheckpointError: it is damaged, or of another version.
    """
    if not checkpoint.startswith(MAGIC):
        raise UnreadableCheckpointError(f"{checkpoint[:20]!r} is not the start of closed days of this version")
    rest = memoryview(checkpoint)[len(MAGIC) + 4 :]
    if zlib.crc32(rest).to_bytes(4, "little") != checkpoint[len(MAGIC) : len(MAGIC) + 4]:
        raise UnreadableCheckpointError("the checksum of the closed days is wrong")
    end = 4 + int.from_bytes(rest[:4], "little")
    header = json.loads(bytes(rest[4:end]))
    found = (header["past"], header["half_life_s"], header["hours"][1:], header["signals"])
    if found != (_mark(past), half_life_s, [first_hour, end_hour], list(DEVICE_SIGNALS)):
        return None
    numbers = end + header["packed"] + header["others"]
    return _closed(
        header,
        zlib.decompress(rest[end : end + header["packed"]]),
        bytes(rest[numbers - header["others"] : numbers]),
        _taker(rest, numbers),
        _rows_of(past, first_hour, end_hour),
    )


def _rows_of(past: bytes, first_hour: int, end_hour: int) -> RowsOf:
    def rows() -> Mapping[PodDevice, HourRows]:
        within = select_days(decode(past), first_hour // DAY_H * DAY_H, end_hour)
        return {} if within is None else within.devices

    return rows


_Array = NDArray[Any]
_Take = Callable[[Any, int], _Array]


def _taker(data: bytes | memoryview, start: int) -> _Take:
    """A function that returns the next array of a type and length."""
    at = start

    def take(dtype: Any, count: int) -> _Array:  # a name: NDArray[Any] here would be evaluated for each checkpoint
        nonlocal at
        array = np.frombuffer(data, dtype, count=count, offset=at)
        at += array.nbytes
        return array

    return take


def _closed(header: Mapping[str, Any], packed: bytes, others: bytes, take: _Take, rows: RowsOf) -> ClosedDays:
    keys = [PodDevice(*key) for key, *_ in header["devices"]]
    summaries = list(_summaries(header, _taker(packed, 0), take))
    since = None
    if header["since"] is not None:
        hour, of = header["since"]
        since = hour, {PodDevice(*key): Levels(take(np.float64, _WIDE), take(np.int64, _WIDE)) for key in of}
    counts: dict[Signal, Weighted] = {}
    for name, size in header["counts"].items():
        weights = take(np.float64, size)
        counts[Signal(name)] = take(np.uint16, size), weights
    step_s, first_hour, end_hour = header["hours"]
    nothing = UsageHours(
        WorkloadRef(*header["workload"]), step_s, first_hour, end_hour, {}, None, {}, work_metric=header["work_metric"]
    )
    return ClosedDays(
        half_life_s=header["half_life_s"],
        devices=dict(zip(keys, summaries, strict=True)),
        counts=counts,
        others=decode(others) if others else nothing,
        rows=rows,
        since=since,
    )


def _summaries(header: Mapping[str, Any], steps: _Take, numbers: _Take) -> Iterator[DeviceSummary]:
    devices = header["devices"]
    bits = -(-(HOUR_S // header["hours"][0]) // 8)
    idle = [steps(np.uint8, hours * bits).reshape(hours, bits) for *_, hours, _ in devices]
    active = [steps(np.uint16, hours) for *_, hours, _ in devices]
    sampled = [steps(np.bool_, hours) for *_, hours, _ in devices]
    tables = numbers(np.float64, len(devices) * 4 * _WIDE).reshape(len(devices), 4, _WIDE)
    counts = tables.view(np.int64)
    memory = [numbers(np.float64, days) for *_, days in devices]
    measures = [numbers(np.float64, days * len(DAILY)).reshape(days, len(DAILY)) for *_, days in devices]
    for at, (_, first_hour, first_step, end_step, voters, dropped, *_) in enumerate(devices):
        highest, busy_sum = tables[at, :2]
        seen, busy_seen = counts[at, 2:]
        yield DeviceSummary(
            first_hour=first_hour,
            first_step=first_step,
            end_step=end_step,
            voters=voters,
            idle=idle[at],
            active=active[at],
            sampled=sampled[at],
            levels=Levels(highest, seen),
            busy_sum=busy_sum,
            busy_seen=busy_seen,
            memory=memory[at],
            measures=measures[at],
            dropped=dropped,
        )
