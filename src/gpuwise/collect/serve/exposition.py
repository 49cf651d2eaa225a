"""A snapshot as gpuwise's own metrics."""

import math
from collections.abc import Iterable, Iterator, Sequence

from gpuwise import __version__
from gpuwise.collect import catalogue as c
from gpuwise.collect.attribution.allocation import Container
from gpuwise.collect.attribution.apportion import Owner
from gpuwise.collect.metric import LABELS, Metric, Scope
from gpuwise.collect.reading import Device, Reading
from gpuwise.collect.serve.families import Family, pairs
from gpuwise.collect.serve.sums import MEMORY, Sums
from gpuwise.collect.snapshot import Snapshot

_NO_CONTAINER = (Container("", "", ""),)
_MEMORY = frozenset(MEMORY)
_ALWAYS = (c.SAMPLED_AT, c.UP)


def device_families(snapshot: Snapshot, *, node: str, fresh: bool) -> list[Family]:
    """The metrics of devices and containers; of a stale snapshot, only the time of each device's last reading.

    Args:
        snapshot: the last snapshot.
        node: value of the label `node`.
        fresh: whether it is recent enough to represent the current state.
    """
    families = {metric: Family.of(metric) for metric in c.METRICS}
    sums = Sums(snapshot)
    for reading in snapshot.readings:
        holders = (snapshot.holders or {}).get(reading.device.uuid) or _NO_CONTAINER
        _add_reading(families, reading, holders, node)
        _add_memory(families, reading, sums, node)
    for reading in snapshot.lost:
        card = _card_labels(reading.device, node)
        families[c.UP].add(card, 0.0)
        if not math.isnan(reading.at_s):  # a card that never answered has no last reading
            families[c.SAMPLED_AT].add(_device_labels(reading.device, _NO_CONTAINER[0], node), reading.at_s)
        _add_samples(families, reading, (card,), card)
    for part in snapshot.parts:
        families[part.metric].add(_part_labels(part.owner, node), part.value)
    if fresh:
        return list(families.values())
    families[c.UP].lines.clear()
    return [families[metric] for metric in _ALWAYS]


def own_families(snapshot: Snapshot | None, *, series: int, left_out: Iterable[tuple[str, int]]) -> Iterator[Family]:
    """The exporter's metrics about itself, except the age of the snapshot.

    Args:
        snapshot: the last snapshot, None before the first.
        series: number of series exposed.
        left_out: names of the metrics that the series limit removed, with their number of series.
    """
    yield _single(c.BUILD, 1.0, __version__)
    dropped = Family.of(c.DROPPED_SERIES)
    for name, count in left_out:
        dropped.add(pairs(c.DROPPED_SERIES.labels, (name,)), float(count))
    yield dropped
    if snapshot is None:
        return
    yield _single(c.SERIES, float(series))
    yield _single(c.COLLECTION_DURATION, snapshot.duration_s)
    yield _single(c.SWEEPS, float(snapshot.sweeps))
    yield _single(c.DRIVER_UP, float(snapshot.driver_up))
    yield _single(c.DRIVER_RELOADS, float(snapshot.driver.reloads))
    if snapshot.driver.version:
        yield _single(c.DRIVER_INFO, 1.0, snapshot.driver.version)
    if snapshot.attribution_up is not None:
        yield _single(c.ATTRIBUTION_UP, float(snapshot.attribution_up))
    for metric, counts in ((c.ERRORS, snapshot.errors), (c.DROPPED_VALUES, snapshot.dropped)):
        family = Family.of(metric)
        for name, count in counts.items():
            family.add(pairs(metric.labels, (name,)), float(count))
        yield family


def age_family(age_s: float | None) -> Family:
    """The age of the snapshot; no series before the first snapshot."""
    family = Family.of(c.SNAPSHOT_AGE)
    if age_s is not None:
        family.add("", age_s)
    return family


def _single(metric: Metric, value: float, *labels: str) -> Family:
    family = Family.of(metric)
    family.add(pairs(metric.labels, labels), value)
    return family


def _add_reading(families: dict[Metric, Family], reading: Reading, holders: tuple[Container, ...], node: str) -> None:
    each = [_device_labels(reading.device, one, node) for one in holders]
    card = _card_labels(reading.device, node)
    families[c.UP].add(card, 1.0)
    for labels in each:
        families[c.SAMPLED_AT].add(labels, reading.at_s)
        families[c.INFO].add(labels, 1.0)
        if reading.processes is not None:
            families[c.PROCESS_COUNT].add(labels, float(len(reading.processes)))
    _add_samples(families, reading, each, card)


def _add_samples(families: dict[Metric, Family], reading: Reading, each: Sequence[str], card: str) -> None:
    """Add each sample of a reading.

    Args:
        families: by metric.
        reading: of the device.
        each: labels of the device, for each of its containers.
        card: labels of the card.
    """
    for metric, value, values in reading.samples:
        if metric in _MEMORY:
            continue  # see _add_memory
        more = f",{pairs(metric.labels, values)}" if values else ""
        family = families[metric]
        for labels in each if metric.scope is Scope.DEVICE else (card,):
            family.add(labels + more, value)


def _add_memory(families: dict[Metric, Family], reading: Reading, sums: Sums, node: str) -> None:
    """Add the memory of a device in series that sum to the card."""
    for metric in MEMORY:
        value = sums.memory(reading, metric)
        if value is None:
            continue
        used = metric is c.MEMORY_USED
        rows = sums.split(reading.device, metric, value) if used else sums.once(reading.device, value)
        for container, memory in rows:
            families[metric].add(_device_labels(reading.device, container or _NO_CONTAINER[0], node), memory)


def _device_labels(device: Device, holder: Container, node: str) -> str:
    profile, instance = _mig(device)
    values = (device.uuid, str(device.index), device.model, profile, instance, node)
    return pairs(LABELS[Scope.DEVICE], (*values, holder.namespace, holder.pod, holder.name))


def _card_labels(device: Device, node: str) -> str:
    return pairs(LABELS[Scope.CARD], (device.uuid, str(device.index), node))


def _part_labels(owner: Owner, node: str) -> str:
    container = owner.container or _NO_CONTAINER[0]
    values = (owner.device.uuid, str(owner.device.index), _mig(owner.device)[1], node)
    return pairs(
        LABELS[Scope.CONTAINER], (*values, container.namespace, container.pod, container.name, owner.method.value)
    )


def _mig(device: Device) -> tuple[str, str]:
    """Profile and id; both are empty for a whole card."""
    return (device.mig.profile, str(device.mig.gpu_instance_id)) if device.mig else ("", "")
