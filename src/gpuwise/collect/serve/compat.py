"""The same snapshot under dcgm-exporter's names and labels, up to 4.8 and since 4.9, for existing dashboards.

A value that is not known has no series, where dcgm-exporter may expose 0. Unlike in dcgm-exporter, memory, power and
utilization sum to the card, on shared devices and under MIG (docs/exporter.md).
"""

from collections.abc import Iterator, Mapping

from gpuwise.collect import catalogue as c
from gpuwise.collect.attribution.allocation import Container
from gpuwise.collect.metric import Metric
from gpuwise.collect.reading import Device, Reading
from gpuwise.collect.serve import dcgm_fields as dcgm
from gpuwise.collect.serve.dcgm_fields import FIELDS, Field, Rows
from gpuwise.collect.serve.families import Family, pairs
from gpuwise.collect.serve.sums import MEMORY, Row, Sums
from gpuwise.collect.snapshot import Snapshot

_LABELS = ("gpu", "UUID", "pci_bus_id", "device", "modelName")
_MIG_LABELS = ("GPU_I_PROFILE", "GPU_I_ID")
_POD_LABELS = ("container", "namespace", "pod")
# 4.8.3 renamed the label Hostname, before the metrics were renamed: series with the old names have both.
_OLD = (("Hostname", "hostname"), ("DCGM_FI_DRIVER_VERSION",))
_NEW = (("hostname",), ("DCGM_FI_SYSTEM_DRIVER_VERSION",))
_USED, _TOTAL, _RESERVED = (metric.name for metric in MEMORY)
_UNCHANGED = (_OLD[0], (*_OLD[1], *_NEW[1]))
_Scheme = tuple[tuple[str, ...], tuple[str, ...]]
"""Names of the labels of host and driver."""
# By the name of the metric: hashing a Metric takes ten times as long.
_Key = str | tuple[str, ...]
_Values = Mapping[_Key, float]


def _key(key: object) -> _Key:
    if isinstance(key, Metric):
        return key.name
    if isinstance(key, tuple):
        return (key[0].name, *key[1:])
    return str(key)


_KEYS = {field.old: _key(field.key) for field in FIELDS}
_COPIED = tuple(_KEYS[field.old] for field in FIELDS if field.on_instances)


def dcgm_families(snapshot: Snapshot, *, node: str) -> Iterator[Family]:
    """The metric families that dcgm-exporter would expose, under both sets of names.

    Args:
        snapshot: the last snapshot; it must be fresh.
        node: value of the labels `Hostname` and `hostname`.
    """
    sums = Sums(snapshot)
    # Of a lost card, at most its XID error is known.
    readings = (*snapshot.readings, *(one for one in snapshot.lost if one.value(c.XID_LAST) is not None))
    cards = {one.device.uuid: _values(one, sums) for one in readings if one.device.mig is None}
    devices = [
        _Rows(one.device, _own(one, cards, sums), sums, node=node, driver=snapshot.driver.version) for one in readings
    ]
    for field in FIELDS:
        rows = [(device, container, value) for device in devices for container, value in device.of(field)]
        for name, text, unit, scheme in _names(field):
            family = Family(f"DCGM_FI_{name}", field.kind, text)
            for device, container, value in rows:
                labels = device.labels(container, scheme)
                if field.key is c.XID_LAST:
                    labels += f',err_code="{value:.0f}"'
                family.add(labels, value / unit)
            yield family


def _names(field: Field) -> Iterator[tuple[str, str, float, _Scheme]]:
    """Each name of a field, with its help text, unit and labels."""
    if field.old == field.new:
        yield field.old, field.old_help, field.unit, _UNCHANGED
        return
    if field.old:
        yield field.old, field.old_help, field.unit, _OLD
    if field.new:
        yield field.new, f"{field.text}.", 1.0, _NEW


class _Rows:
    """The rows of one card or MIG instance."""

    def __init__(self, device: Device, values: _Values, sums: Sums, *, node: str, driver: str) -> None:
        self._device = device
        self._values = values
        self._sums = sums
        self._node = node
        self._driver = driver
        self._written: dict[tuple[Container | None, _Scheme], str] = {}

    def of(self, field: Field) -> list[Row]:
        """The container and the value of each row of a field."""
        value = self._values.get(_KEYS[field.old])
        if value is None:
            return []
        if field.rows is Rows.SPLIT and isinstance(field.key, Metric):
            return self._sums.split(self._device, field.key, value)
        if field.rows is Rows.ONCE:
            return self._sums.once(self._device, value)
        return [(container, value) for container in self._sums.containers(self._device)]

    def labels(self, container: Container | None, scheme: _Scheme) -> str:
        """The labels as written between the braces; under MIG the UUID is the card's, as in dcgm-exporter."""
        written = self._written.get((container, scheme))
        if written is None:
            written = self._written[container, scheme] = self._write(container, scheme)
        return written

    def _write(self, container: Container | None, scheme: _Scheme) -> str:
        device, (hosts, drivers) = self._device, scheme
        named = "" if device.minor is None else f"nvidia{device.minor}"
        parts = [pairs(_LABELS, (str(device.index), device.card_uuid, device.pci_bus_id, named, device.model))]
        if device.mig is not None:
            parts.append(pairs(_MIG_LABELS, (device.mig.profile, str(device.mig.gpu_instance_id))))
        parts.append(pairs(hosts, (self._node,) * len(hosts)))
        if self._driver:
            parts.append(pairs(drivers, (self._driver,) * len(drivers)))
        if container is not None:
            parts.append(pairs(_POD_LABELS, (container.name, container.namespace, container.pod)))
        return ",".join(parts)


def _own(reading: Reading, cards: Mapping[str, _Values], sums: Sums) -> _Values:
    """The values of a device; a MIG instance also shows some of its card's."""
    if reading.device.mig is None:
        return cards[reading.device.uuid]
    card = cards.get(reading.device.card_uuid, {})
    return {key: card[key] for key in _COPIED if key in card} | _values(reading, sums)


def _values(reading: Reading, sums: Sums) -> dict[_Key, float]:
    """By metric, by metric and label values, and what is computed from several samples."""
    values: dict[_Key, float] = {}
    for metric, value, labels in reading.samples:
        values.setdefault(metric.name, value)
        if labels:
            values[metric.name, *labels] = value
    usable = values.get(_TOTAL, 0.0) - values.get(_RESERVED, 0.0)
    if _USED in values and usable > 0.0:
        values[dcgm.USED_RATIO] = values[_USED] / usable
    for metric in MEMORY:
        memory = sums.memory(reading, metric)
        values.pop(metric.name, None)
        if memory is not None:
            values[metric.name] = memory
    if _TOTAL in values and _USED in values:
        taken = values[_USED] + values.get(_RESERVED, 0.0)
        values[dcgm.FREE] = max(0.0, values[_TOTAL] - taken)
    if reading.device.mig is None:
        values.setdefault(c.XID_LAST.name, 0.0)
        _add_masks(reading, values)
    return values


def _add_masks(reading: Reading, values: dict[_Key, float]) -> None:
    """Numbers that gpuwise exposes as one series for each possibility or direction."""
    reasons = [
        dcgm.REASON_BITS.get(one.labels[0], 0) * one.value for one in reading.samples if one.metric is c.THROTTLE_REASON
    ]
    if reasons:
        values[dcgm.REASONS] = sum(reasons)
    for name, number in dcgm.RECOVERY_NUMBERS.items():
        if values.get((c.RECOVERY_ACTION.name, name)) == 1.0:
            values[dcgm.RECOVERY] = float(number)
    rates = [one.value for one in reading.samples if one.metric is c.NVLINK_RATE]
    if rates:
        values[dcgm.NVLINK] = sum(rates)
