"""The same snapshot in dcgm-exporter's names and labels, those up to 4.8 and those since 4.9, for dashboards of today.

Names and units are of dcgm-exporter's etc/default-counters.csv. Where a value is not known there is no series, where
dcgm-exporter may show 0; a card in MIG mode has none of GPU_UTIL.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from gpuwise.collect import catalogue as c
from gpuwise.collect.attribution.allocation import Container
from gpuwise.collect.metric import Kind, Metric
from gpuwise.collect.reading import Device, Reading
from gpuwise.collect.serve.families import Family, pairs
from gpuwise.collect.snapshot import Snapshot

_MIB, _MEGA, _PERCENT, _MILLI, _NANO = 2.0**20, 1e6, 0.01, 1e-3, 1e-9


@dataclass(frozen=True, slots=True)
class _Name:
    """One of dcgm-exporter's metrics.

    Attributes:
        metric: ours.
        labels: which series of it; none means the first.
        old: its name up to 4.8, empty if it has none.
        new: its name since 4.9, empty if it has none.
        unit: one of the old name's units in ours.
        text: its help.
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
# Gauges there whatever they are: theirs are counters only where the CSV says so.
_COUNTERS = frozenset({c.ENERGY, c.PCIE_REPLAYS, c.REMAPPED_ROWS, c.THROTTLE_TIME})

_OLD_LABELS = ("gpu", "UUID", "pci_bus_id", "device", "modelName")
_MIG_LABELS = ("GPU_I_PROFILE", "GPU_I_ID")
_POD_LABELS = ("container", "namespace", "pod")


def dcgm_families(snapshot: Snapshot, *, node: str) -> Iterator[Family]:
    """The families that dcgm-exporter would show, in both spellings.

    Args:
        snapshot: the last one, which is fresh.
        node: value of the label `Hostname`, and since 4.9 `hostname`.
    """
    labelled = [(reading, labels) for reading in snapshot.readings for labels in _labels(reading.device, snapshot)]
    for name in _NAMES:
        kind = Kind.COUNTER if name.metric in _COUNTERS else Kind.GAUGE
        if name.old:
            text = f"{name.text} ({_UNITS[name.unit]})." if name.unit in _UNITS else f"{name.text}."
            yield _family(f"DCGM_FI_{name.old}", kind, text, labelled, name, ("Hostname", node))
        if name.new:
            yield _family(f"DCGM_FI_{name.new}", kind, f"{name.text}.", labelled, name, ("hostname", node))
    yield _free(labelled, "DCGM_FI_DEV_FB_FREE", "Framebuffer memory free (in MiB).", _MIB, ("Hostname", node))
    yield _free(labelled, "DCGM_FI_DEV_FB_FREE_BYTES", "Framebuffer memory free.", 1.0, ("hostname", node))


_Labelled = list[tuple[Reading, tuple[tuple[str, str], ...]]]


def _family(full: str, kind: Kind, text: str, labelled: _Labelled, name: _Name, host: tuple[str, str]) -> Family:
    family = Family(full, kind, text)
    unit = name.unit if host[0] == "Hostname" else 1.0
    for reading, labels in labelled:
        value = reading.value(name.metric, *name.labels)
        if value is not None:
            family.add(_written(labels, host), value / unit)
    return family


def _free(labelled: _Labelled, full: str, text: str, unit: float, host: tuple[str, str]) -> Family:
    family = Family(full, Kind.GAUGE, text)
    for reading, labels in labelled:
        total, used = reading.value(c.MEMORY_TOTAL), reading.value(c.MEMORY_USED)
        if total is not None and used is not None:
            kept = reading.value(c.MEMORY_RESERVED) or 0.0
            family.add(_written(labels, host), max(0.0, total - used - kept) / unit)
    return family


def _labels(device: Device, snapshot: Snapshot) -> Iterator[tuple[tuple[str, str], ...]]:
    """One set for each container that holds the device; under MIG the UUID is the card's, as theirs is."""
    named = "" if device.minor is None else f"nvidia{device.minor}"
    values = (str(device.index), device.card_uuid, device.pci_bus_id, named, device.model)
    labels = list(zip(_OLD_LABELS, values, strict=True))
    if device.mig is not None:
        labels += zip(_MIG_LABELS, (device.mig.profile, str(device.mig.gpu_instance_id)), strict=True)
    holders: tuple[Container | None, ...] = (snapshot.holders or {}).get(device.uuid) or (None,)
    for holder in holders:
        pod = () if holder is None else zip(_POD_LABELS, (holder.name, holder.namespace, holder.pod), strict=True)
        yield (*labels, *pod)


def _written(labels: tuple[tuple[str, str], ...], host: tuple[str, str]) -> str:
    names, values = zip(*labels, host, strict=True)
    return pairs(names, values)
