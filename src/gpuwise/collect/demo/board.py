"""Values of a board of the synthetic node: clocks, temperatures, limits, links and memory health."""

from collections.abc import Iterator
from dataclasses import dataclass

from gpuwise.collect import catalogue as c
from gpuwise.collect.demo.models import MHZ, Model
from gpuwise.collect.metric import Sample

_REASONS = ("gpu_idle", "applications_clocks", "sw_power_cap", "hw_slowdown", "sync_boost")
_THERMAL_REASONS = ("sw_thermal", "hw_thermal", "hw_power_brake", "display_clock")
_TIMED = ("sw_power_cap", "thermal", "sync_boost", "board_limit", "low_utilization", "reliability")
_TIMED_SINCE_575 = ("sw_thermal", "hw_thermal", "hw_power_brake")
# Bytes a second at full activity.
_PCIE_RATE, _NVLINK_RATE = 6e9, 150e9


@dataclass(frozen=True, slots=True)
class Work:
    """What a card has done.

    Attributes:
        activity: of its SMs now, 0 to 1.
        active_s: seconds of full activity since the start.
        watts: power draw now.
        joules: energy since the start.
        media: activity of encoder and decoder, 0 to 1.
    """

    activity: float
    active_s: float
    watts: float
    joules: float
    media: float


def board(model: Model, work: Work) -> Iterator[Sample]:
    """All values of a healthy board of this model.

    Args:
        model: the board's model.
        work: what the card does.
    """
    yield Sample(c.COMPUTE_MODE, 0.0)
    yield from _power(model, work)
    yield from _temperatures(model, work)
    yield from _clocks(model, work)
    yield from _links(model, work)
    yield from _memory(model)


def engines(work: Work) -> Iterator[Sample]:
    """Activity of the engines other than the SMs; a card in MIG mode has none.

    Args:
        work: what the card does.
    """
    for engine, share in (("memory_copy", work.activity * 0.4), ("encoder", work.media), ("decoder", work.media * 0.7)):
        yield Sample(c.ENGINE_UTILIZATION, share, (engine,))


def _power(model: Model, work: Work) -> Iterator[Sample]:
    yield Sample(c.POWER, work.watts)
    yield Sample(c.ENERGY, work.joules)
    yield Sample(c.POWER_LIMIT, model.busy_watts)
    limits = {"minimum": model.least_watts, "maximum": model.busy_watts, "default": model.busy_watts}
    for setting, watts in {**limits, "requested": model.busy_watts}.items():
        yield Sample(c.POWER_LIMIT_SETTING, watts, (setting,))
    if model.hopper:
        yield Sample(c.MEMORY_POWER, 30 + 60 * work.activity)
    if model.module:
        yield Sample(c.MODULE_POWER, work.watts + 120 + 80 * work.activity)


def _temperatures(model: Model, work: Work) -> Iterator[Sample]:
    degrees = 30.0 + 40.0 * work.watts / model.busy_watts
    yield Sample(c.TEMPERATURE, degrees, ("gpu",))
    if model.nvlinks:  # boards with HBM
        yield Sample(c.TEMPERATURE, degrees + 6.0, ("memory",))
    slowdown = model.slowdown_celsius
    yield Sample(c.TEMPERATURE_MARGIN, slowdown - degrees)
    for threshold, limit in (("shutdown", slowdown + 5), ("slowdown", slowdown + 2), ("gpu_max", slowdown)):
        yield Sample(c.TEMPERATURE_THRESHOLD, limit, (threshold,))
    if model.fan:
        yield Sample(c.FAN_SPEED, min(1.0, 0.3 + (degrees - 30.0) / 60.0))


def _clocks(model: Model, work: Work) -> Iterator[Sample]:
    now = {"graphics": 0.85, "sm": 0.85, "memory": 1.0, "video": 0.75}
    for clock, share in now.items():
        highest = (model.memory_mhz if clock == "memory" else model.sm_mhz) * MHZ
        yield Sample(c.CLOCK, highest * share, (clock,))
        yield Sample(c.CLOCK_MAX, highest, (clock,))
    yield Sample(c.PERFORMANCE_STATE, 0.0 if work.activity else 8.0)
    capped = work.watts > 0.9 * model.busy_watts
    for reason in (*_REASONS, *_THERMAL_REASONS):
        on = (reason == "gpu_idle" and not work.activity) or (reason == "sw_power_cap" and capped)
        yield Sample(c.THROTTLE_REASON, float(on), (reason,))
    for reason in (*_TIMED, *_TIMED_SINCE_575):
        yield Sample(c.THROTTLE_TIME, 0.2 * work.active_s if reason == "sw_power_cap" else 0.0, (reason,))


def _links(model: Model, work: Work) -> Iterator[Sample]:
    yield Sample(c.PCIE_GENERATION, float(model.pcie_generation))
    yield Sample(c.PCIE_WIDTH, 16.0)
    yield Sample(c.PCIE_REPLAYS, 0.0)
    for direction, share in (("transmit", 0.4), ("receive", 1.0)):
        yield Sample(c.PCIE_BYTES, share * _PCIE_RATE * work.active_s, (direction,))
        if model.hopper:
            yield Sample(c.PCIE_RATE, share * _PCIE_RATE * work.activity, (direction,))
    if not model.nvlinks:
        return
    yield Sample(c.NVLINK_LINKS, float(model.nvlinks))
    for direction in ("transmit", "receive"):
        yield Sample(c.NVLINK_BYTES, _NVLINK_RATE * work.active_s, (direction,))
        if model.hopper:
            yield Sample(c.NVLINK_RATE, _NVLINK_RATE * work.activity, (direction,))
    for error in ("crc_flit", "crc_data", "replay", "recovery"):
        yield Sample(c.NVLINK_ERRORS, 0.0, (error,))


def _memory(model: Model) -> Iterator[Sample]:
    yield Sample(c.ECC_MODE, 1.0)
    for severity in ("corrected", "uncorrected"):
        for counter in ("volatile", "aggregate"):
            yield Sample(c.ECC_ERRORS, 0.0, (severity, counter))
    if model.retires_pages:
        for cause in ("single_bit", "double_bit"):
            yield Sample(c.RETIRED_PAGES, 0.0, (cause,))
        yield Sample(c.RETIREMENT_PENDING, 0.0)
    else:
        for cause in ("corrected", "uncorrected"):
            yield Sample(c.REMAPPED_ROWS, 0.0, (cause,))
        yield Sample(c.REMAP_PENDING, 0.0)
        yield Sample(c.REMAP_FAILED, 0.0)
        yield Sample(c.SRAM_THRESHOLD, 0.0)
    if model.hopper:
        for repair in ("channel", "tpc"):
            yield Sample(c.REPAIR_PENDING, 0.0, (repair,))
        for action in c.RECOVERY_ACTIONS:
            yield Sample(c.RECOVERY_ACTION, float(action == "none"), (action,))
