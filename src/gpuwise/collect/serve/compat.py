"""The same snapshot under dcgm-exporter's names and labels, up to 4.8 and since 4.9, for existing dashboards.

Names and units come from dcgm-exporter's etc/default-counters.csv. A value that is not known has no series, where
dcgm-exporter may expose 0; a card in MIG mode has no GPU_UTIL.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from gpuwise.collect import catalogue as c
from gpuwise.collect.attribution.allocation import Container
from gpuwise.collect.metric import Kind, Metric
from gpuwise.collect.reading import Reading
from gpuwise.collect.serve.families import Family, pairs
from gpuwise.collect.snapshot import Snapshot

_MIB, _MEGA, _PERCENT, _MILLI, _NANO = 2.0**20, 1e6, 0.01, 1e-3, 1e-9


@dataclass(frozen=True, slots=True)
class _Name:
    """One of dcgm-exporter's metrics.

    Attributes:
        metric: the metric of gpuwise.
        labels: first label of the series to use; none if there is only one series.
        old: name up to 4.8, empty if there is none.
        new: name since 4.9, empty if there is none.
        unit: one unit of the old name, in the unit of gpuwise.
        text: help text.
    """

    metric: Metric
    labels: tuple[str, ...]
    old: str
    new: str
    unit: float
    text: str


_NAMES: tuple[_Name, ...] = (
    _Name(c.UTILIZATION, (), "DEV_GPU_UTIL", "DEV_GPU_UTIL_RATIO", _PERCENT, "GPU utilization"),
    _Name(c.ENGINE_UTILIZATION, ("memory_copy",), "DEV_MEM_COPY_UTIL", "DEV_MEMORY_UTIL_RATIO", _PERCENT,
          "Memory utilization"),
    _Name(c.ENGINE_UTILIZATION, ("encoder",), "DEV_ENC_UTIL", "DEV_ENC_UTIL_RATIO", _PERCENT, "Encoder utilization"),
    _Name(c.ENGINE_UTILIZATION, ("decoder",), "DEV_DEC_UTIL", "DEV_DEC_UTIL_RATIO", _PERCENT, "Decoder utilization"),
    _Name(c.MEMORY_USED, (), "DEV_FB_USED", "DEV_FB_USED_BYTES", _MIB, "Framebuffer memory used"),
    _Name(c.MEMORY_RESERVED, (), "DEV_FB_RESERVED", "DEV_FB_RESERVED_BYTES", _MIB, "Framebuffer memory reserved"),
    _Name(c.MEMORY_TOTAL, (), "", "DEV_FB_CAPACITY_BYTES", _MIB, "Framebuffer memory"),
    _Name(c.CLOCK, ("sm",), "DEV_SM_CLOCK", "DEV_SM_CLOCK_HERTZ", _MEGA, "SM clock frequency"),
    _Name(c.CLOCK, ("memory",), "DEV_MEM_CLOCK", "DEV_MEMORY_CLOCK_HERTZ", _MEGA, "Memory clock frequency"),
    _Name(c.TEMPERATURE, ("gpu",), "DEV_GPU_TEMP", "DEV_GPU_TEMP_CELSIUS", 1.0, "GPU temperature"),
    _Name(c.TEMPERATURE, ("memory",), "DEV_MEMORY_TEMP", "DEV_MEMORY_TEMP_CELSIUS", 1.0, "Memory temperature"),
    _Name(c.POWER, (), "DEV_POWER_USAGE", "DEV_BOARD_POWER_WATTS", 1.0, "Power draw"),
    _Name(c.ENERGY, (), "DEV_TOTAL_ENERGY_CONSUMPTION", "DEV_GPU_ENERGY_JOULES_TOTAL", _MILLI,
          "Energy since the driver was loaded"),
    _Name(c.PCIE_REPLAYS, (), "DEV_PCIE_REPLAY_COUNTER", "", 1.0, "PCIe retries"),
    _Name(c.XID_LAST, (), "DEV_XID_ERRORS", "DEV_XID_ERROR", 1.0, "Last XID error"),
    _Name(c.REMAPPED_ROWS, ("uncorrected",), "DEV_UNCORRECTABLE_REMAPPED_ROWS", "", 1.0,
          "Remapped rows for uncorrectable errors"),
    _Name(c.REMAPPED_ROWS, ("corrected",), "DEV_CORRECTABLE_REMAPPED_ROWS", "", 1.0,
          "Remapped rows for correctable errors"),
    _Name(c.REMAP_FAILED, (), "DEV_ROW_REMAP_FAILURE", "", 1.0, "Whether remapping of rows has failed"),
    _Name(c.THROTTLE_TIME, ("sw_power_cap",), "DEV_POWER_VIOLATION", "DEV_GPU_POWER_THROTTLE_SECONDS_TOTAL", _NANO,
          "Throttling by power constraints"),
    _Name(c.THROTTLE_TIME, ("thermal",), "DEV_THERMAL_VIOLATION", "DEV_GPU_THERMAL_THROTTLE_SECONDS_TOTAL", _NANO,
          "Throttling by thermal constraints"),
    _Name(c.GRAPHICS_ACTIVITY, (), "PROF_GR_ENGINE_ACTIVE", "PROF_GR_ENGINE_UTIL_RATIO", 1.0,
          "Ratio of time the graphics engine is active"),
    _Name(c.SM_ACTIVITY, (), "PROF_SM_ACTIVE", "PROF_SM_UTIL_RATIO", 1.0,
          "Ratio of cycles an SM has at least one warp assigned"),
    _Name(c.SM_OCCUPANCY, (), "PROF_SM_OCCUPANCY", "PROF_SM_OCCUPANCY_RATIO", 1.0,
          "Ratio of warps resident on an SM"),
    _Name(c.TENSOR_ACTIVITY, (), "PROF_PIPE_TENSOR_ACTIVE", "PROF_TENSOR_UTIL_RATIO", 1.0,
          "Ratio of cycles the tensor pipe is active"),
    _Name(c.DRAM_ACTIVITY, (), "PROF_DRAM_ACTIVE", "PROF_DRAM_UTIL_RATIO", 1.0,
          "Ratio of cycles the device memory interface is active"),
    _Name(c.PCIE_RATE, ("transmit",), "PROF_PCIE_TX_BYTES", "", 1.0, "Rate of data transmitted over PCIe"),
    _Name(c.PCIE_RATE, ("receive",), "PROF_PCIE_RX_BYTES", "", 1.0, "Rate of data received over PCIe"),
)  # fmt: skip
_UNITS = {_MIB: "in MiB", _MEGA: "in MHz", _PERCENT: "in %", _MILLI: "in mJ", _NANO: "in ns"}
# All others are gauges: dcgm-exporter has counters only where its CSV declares them.
_COUNTERS = frozenset({c.ENERGY, c.PCIE_REPLAYS, c.REMAPPED_ROWS, c.THROTTLE_TIME})

_LABELS = ("gpu", "UUID", "pci_bus_id", "device", "modelName")
_MIG_LABELS = ("GPU_I_PROFILE", "GPU_I_ID")
_POD_LABELS = ("container", "namespace", "pod")


@dataclass(frozen=True, slots=True)
class _Row:
    """One device and one of its containers.

    Attributes:
        values: by metric, and by metric and label.
        old: labels up to 4.8, as written between the braces.
        new: the same since 4.9.
    """

    values: Mapping[object, float]
    old: str
    new: str


def dcgm_families(snapshot: Snapshot, *, node: str) -> Iterator[Family]:
    """The metric families that dcgm-exporter would expose, under both sets of names.

    Args:
        snapshot: the last snapshot; it must be fresh.
        node: value of the label `Hostname`, and since 4.9 `hostname`.
    """
    rows = [row for reading in snapshot.readings for row in _rows(reading, snapshot, node)]
    for name in _NAMES:
        kind = Kind.COUNTER if name.metric in _COUNTERS else Kind.GAUGE
        key = (name.metric, name.labels[0]) if name.labels else name.metric
        known = [(row, row.values[key]) for row in rows if key in row.values]
        if name.old:
            text = f"{name.text} ({_UNITS[name.unit]})." if name.unit in _UNITS else f"{name.text}."
            yield _family(f"DCGM_FI_{name.old}", kind, text, [(row.old, value / name.unit) for row, value in known])
        if name.new:
            yield _family(f"DCGM_FI_{name.new}", kind, f"{name.text}.", [(row.new, value) for row, value in known])
    free = [(row, value) for row in rows if (value := _free(row.values)) is not None]
    text = "Framebuffer memory free"
    yield _family(
        "DCGM_FI_DEV_FB_FREE", Kind.GAUGE, f"{text} (in MiB).", [(row.old, value / _MIB) for row, value in free]
    )
    yield _family("DCGM_FI_DEV_FB_FREE_BYTES", Kind.GAUGE, f"{text}.", [(row.new, value) for row, value in free])


def _family(name: str, kind: Kind, text: str, series: Iterable[tuple[str, float]]) -> Family:
    family = Family(name, kind, text)
    for labels, value in series:
        family.add(labels, value)
    return family


def _free(values: Mapping[object, float]) -> float | None:
    if c.MEMORY_TOTAL not in values or c.MEMORY_USED not in values:
        return None
    return max(0.0, values[c.MEMORY_TOTAL] - values[c.MEMORY_USED] - values.get(c.MEMORY_RESERVED, 0.0))


def _rows(reading: Reading, snapshot: Snapshot, node: str) -> Iterator[_Row]:
    """One row for each container of the device; under MIG the UUID is the card's, as in dcgm-exporter."""
    values: dict[object, float] = {}
    for metric, value, labels in reading.samples:
        values.setdefault(metric, value)
        if labels:
            values[metric, labels[0]] = value
    device = reading.device
    named = "" if device.minor is None else f"nvidia{device.minor}"
    common = pairs(_LABELS, (str(device.index), device.card_uuid, device.pci_bus_id, named, device.model))
    if device.mig is not None:
        common += "," + pairs(_MIG_LABELS, (device.mig.profile, str(device.mig.gpu_instance_id)))
    holders: tuple[Container | None, ...] = (snapshot.holders or {}).get(device.uuid) or (None,)
    for holder in holders:
        pod = "" if holder is None else "," + pairs(_POD_LABELS, (holder.name, holder.namespace, holder.pod))
        yield _Row(values, *(f"{common},{pairs((host,), (node,))}{pod}" for host in ("Hostname", "hostname")))
