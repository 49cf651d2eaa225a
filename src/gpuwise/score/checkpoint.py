"""Encodes hours as bytes and decodes them, to keep them between runs. Later versions read earlier ones.

A checkpoint is `MAGIC` followed by zlib-compressed data: 4 bytes of header length, a JSON header, then the arrays in
the header's order, little-endian. The header names the signals, so that columns are found by name.
"""

import json
import math
import zlib
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.hours import (
    DEVICE_SIGNALS,
    HOUR_S,
    MEASURES,
    HourRows,
    PaceKind,
    PodDevice,
    Rows,
    UsageHours,
    device_rows,
)
from gpuwise.model.inventory import WorkloadRef
from gpuwise.model.signal import Signal
from gpuwise.model.usage import SCRAPE_S

MAGIC = b"gpuwise-hours/2\n"
_BEFORE = b"gpuwise-hours/1\n"
"""Of checkpoints without the columns of `MEASURES`."""

PER_SIGNAL = ("peak", "seen", "busy_sum", "busy_seen")


class UnreadableCheckpointError(ValueError):
    """The bytes are not a checkpoint of a known version."""


def encode(hours: UsageHours, *, compress: bool = True) -> bytes:
    """Encode hours as bytes.

    Args:
        hours: of one workload.
        compress: whether to compress them, to a sixth for a month and a quarter for half a day.
    """
    # Of a day, 4 % of the buckets have samples.
    occupied = {signal: counts.ravel().nonzero()[0].astype(np.uint32) for signal, counts in hours.counts.items()}
    header = {
        "workload": [hours.workload.namespace, hours.workload.kind, hours.workload.name, hours.workload.uid],
        "step_s": hours.step_s,
        "first_hour": hours.first_hour,
        "end_hour": hours.end_hour,
        "signals": list(DEVICE_SIGNALS),
        "devices": [[list(pod_device), rows.first_hour, rows.hours] for pod_device, rows in hours.devices.items()],
        "requests": None if hours.requests is None else [hours.requests.first_hour, hours.requests.hours],
        "scrapes": None if hours.scrapes is None else [hours.scrapes.first_hour, hours.scrapes.hours],
        "occupied": {signal: [*hours.counts[signal].shape, at.size] for signal, at in occupied.items()},
    }
    if hours.work_metric is not None:
        header["work_metric"] = hours.work_metric
        header["work"] = None if hours.work is None else [hours.work.first_hour, hours.work.hours]
        header["paces"] = [[list(kind), rows.first_hour, rows.hours] for kind, rows in hours.paces.items()]
    text = json.dumps(header).encode()
    body = b"".join([len(text).to_bytes(4, "little"), text, *(array.tobytes() for array in _arrays(hours, occupied))])
    return MAGIC + zlib.compress(body, level=1 if compress else 0)


def _arrays(hours: UsageHours, occupied: Mapping[Signal, NDArray[np.uint32]]) -> Iterator[NDArray[Any]]:
    device, request = device_row(hours.per_hour, tuple(DEVICE_SIGNALS)), request_row(hours.per_hour)
    yield from (_table(rows, device) for rows in hours.devices.values())
    if hours.requests is not None:
        yield _table(hours.requests, request)
    if hours.scrapes is not None:
        yield _table(hours.scrapes, SCRAPE_ROW)
    for signal, at in occupied.items():
        yield from (at, hours.counts[signal].ravel()[at])
    if hours.work is not None:
        yield _table(hours.work, WORK_ROW)
    yield from (_table(rows, PACE_ROW) for rows in hours.paces.values())


def _table(rows: HourRows, row: np.dtype[np.void]) -> NDArray[np.void]:
    table = np.empty(rows.hours, dtype=row)
    for name, column in rows.rows.items():
        table[name] = column
    return table


@cache
def device_row(per_hour: int, signals: tuple[str, ...], *, measured: bool = True) -> np.dtype[np.void]:
    """The stored row of a device and hour; `gpuwise.model.hours.device_rows` describes the fields.

    Args:
        per_hour: steps in an hour.
        signals: the columns of the fields that are stored per signal.
        measured: whether the row has the columns of `MEASURES`.
    """
    bits, wide = -(-per_hour // 8), len(signals)
    return np.dtype(
        [
            *((name, np.uint8, (bits,)) for name in ("sampled", "idle", "active")),
            ("voters", np.uint8),
            ("dropped", np.uint32),
            ("peak", np.float64, (wide,)),
            ("seen", np.uint16, (wide,)),
            ("busy_sum", np.float64, (wide,)),
            ("busy_seen", np.uint16, (wide,)),
            *(MEASURES.items() if measured else ()),
        ]
    )


@cache
def request_row(per_hour: int) -> np.dtype[np.void]:
    """The stored row of requests; `gpuwise.model.hours.HourRows` describes the fields.

    Args:
        per_hour: steps in an hour.
    """
    bits = -(-per_hour // 8)
    return np.dtype([("silent", np.uint8, (bits,)), ("total", np.float64), ("peak", np.float64), ("seen", np.uint16)])


SCRAPE_ROW = np.dtype(
    [
        ("silent", np.uint8, (HOUR_S // SCRAPE_S // 8,)),
        ("known", np.uint8, (HOUR_S // SCRAPE_S // 8,)),
        ("seen", np.uint16),
    ]
)
"""The stored row of requests in steps of SCRAPE_S; its fields are those of `gpuwise.model.hours.HourRows`."""


WORK_ROW = np.dtype([("total", np.float64), ("seen", np.uint16)])
"""The stored row of declared work; its fields are those of `gpuwise.model.hours.HourRows`."""

PACE_ROW = np.dtype(
    [
        *((name, np.uint16) for name in ("seen", "powered", "first", "last")),
        *((name, np.float64) for name in ("work", "watts")),
    ]
)
"""The stored row of a pace; as above."""


def decode(checkpoint: bytes) -> UsageHours:
    """Decode hours.

    Args:
        checkpoint: written by `encode` of this or an earlier version.

    Raises:
        UnreadableCheckpointError: it is damaged, or of an unknown version.
    """
    if not checkpoint.startswith((MAGIC, _BEFORE)):
        raise UnreadableCheckpointError(f"{checkpoint[:20]!r} is not the start of a known checkpoint version")
    try:
        body = zlib.decompress(checkpoint[len(MAGIC) :])
        end = 4 + int.from_bytes(body[:4], "little")
        return _hours(json.loads(body[4:end]), _Reader(body, end), measured=checkpoint.startswith(MAGIC))
    except (zlib.error, ValueError, KeyError, IndexError, TypeError, ArithmeticError) as error:
        raise UnreadableCheckpointError(f"the checkpoint is damaged: {error}") from error


class _Reader:
    """Reads consecutive arrays from bytes."""

    def __init__(self, body: bytes, start: int) -> None:
        self._body, self._at = body, start

    def take(self, dtype: Any, shape: tuple[int, ...]) -> NDArray[Any]:
        array = np.frombuffer(self._body, dtype, count=math.prod(shape), offset=self._at)
        self._at += array.nbytes
        return array.reshape(shape)


def _hours(header: Mapping[str, Any], reader: _Reader, *, measured: bool) -> UsageHours:
    per_hour = 3_600 // header["step_s"]
    signals = tuple(header["signals"])
    then = device_row(per_hour, signals, measured=measured)
    devices = {
        PodDevice(*pod_device): HourRows(first_hour, by_name(reader.take(then, (length,)), per_hour, signals))
        for pod_device, first_hour, length in header["devices"]
    }
    requests = None
    if header["requests"] is not None:
        first_hour, length = header["requests"]
        requests = HourRows(first_hour, _columns(reader.take(request_row(per_hour), (length,))))
    scrapes = None
    if header.get("scrapes") is not None:  # absent in checkpoints of earlier versions
        first_hour, length = header["scrapes"]
        scrapes = HourRows(first_hour, _columns(reader.take(SCRAPE_ROW, (length,))))
    counts = dict(_counts(header, reader))
    work = None
    if header.get("work") is not None:  # absent in checkpoints of earlier versions, and of workloads without such work
        first_hour, length = header["work"]
        work = HourRows(first_hour, _columns(reader.take(WORK_ROW, (length,))))
    paces = {
        PaceKind(*kind): HourRows(first_hour, _columns(reader.take(PACE_ROW, (length,))))
        for kind, first_hour, length in header.get("paces", ())
    }
    return UsageHours(
        workload=WorkloadRef(*header["workload"]),
        step_s=header["step_s"],
        first_hour=header["first_hour"],
        end_hour=header["end_hour"],
        devices=devices,
        requests=requests,
        scrapes=scrapes,
        counts=counts,
        work_metric=header.get("work_metric"),
        work=work,
        paces=paces,
    )


def _counts(header: Mapping[str, Any], reader: _Reader) -> Iterator[tuple[Signal, NDArray[np.uint32]]]:
    for name, shape in header.get("counts", {}).items():  # earlier versions wrote all buckets
        yield Signal(name), reader.take(np.uint32, tuple(shape))
    for name, (days, buckets, occupied) in header.get("occupied", {}).items():
        counts = np.zeros(days * buckets, dtype=np.uint32)
        at = reader.take(np.uint32, (occupied,))
        counts[at] = reader.take(np.uint32, (occupied,))
        yield Signal(name), counts.reshape(days, buckets)


def by_name(table: NDArray[np.void], per_hour: int, signals: tuple[str, ...]) -> Rows:
    """Rows with the current columns; what did not exist when they were written has no samples.

    Args:
        table: the stored rows.
        per_hour: steps in an hour.
        signals: the signals at the time of writing.
    """
    columns = _columns(table)
    if signals == DEVICE_SIGNALS and MEASURES.keys() <= columns.keys():
        return columns
    unsampled = device_rows(per_hour, len(table))
    columns = {name: unsampled[name] for name in MEASURES} | columns
    if signals == DEVICE_SIGNALS:
        return columns
    now = columns | {name: unsampled[name] for name in PER_SIGNAL}
    for before, signal in enumerate(signals):
        after = DEVICE_SIGNALS.index(Signal(signal))
        for name in PER_SIGNAL:
            now[name][:, after] = columns[name][:, before]
    return now


def _columns(table: NDArray[np.void]) -> dict[str, NDArray[Any]]:
    return {name: table[name] for name in table.dtype.names or ()}
