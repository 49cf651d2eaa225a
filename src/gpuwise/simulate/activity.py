"""How each behaviour uses its GPUs: one function per behaviour, from a clock and a generator to an Activity."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from gpuwise.model.usage import DAY_S, Window
from gpuwise.simulate.catalogue import Archetype, Behaviour

Track = NDArray[np.float32]

# GPU utilisation of a steady job: how the mean of four published fleets is distributed above 95 %
# (AcmeTrace, NSDI'24, utilization/util_pkl: Seren, Kalos, Philly, PAI).
_TOP_LEVELS = np.array([0.95, 0.96, 0.97, 0.98, 0.99, 1.00], dtype=np.float32)
_TOP_SHARES = np.cumsum([0.03, 0.05, 0.08, 0.18, 0.34, 0.32])


@dataclass(frozen=True, slots=True)
class Clock:
    """The time grid as a behaviour uses it.

    Attributes:
        window: the grid.
        hour: local hour of day, 0 to 24, float32 of shape (steps,).
        workday: Monday to Friday, local, of shape (steps,).
    """

    window: Window
    hour: Track
    workday: NDArray[np.bool_]

    @classmethod
    def over(cls, window: Window, utc_offset_h: int) -> "Clock":
        """The clock of a location this many hours from UTC."""
        local = window.start_s + utc_offset_h * 3600 + np.arange(window.steps, dtype=np.int64) * window.step_s
        # 1970-01-01 was a Thursday, day 3 of a week that starts on Monday.
        return cls(window, (local % DAY_S / 3600).astype(np.float32), (local // DAY_S + 3) % 7 < 5)

    def steps(self, minutes: float) -> int:
        """A number of minutes in steps, at least one."""
        return max(1, round(minutes * 60 / self.window.step_s))


@dataclass(frozen=True, slots=True)
class Activity:
    """What a workload does, before it is translated to sensor values of a device.

    Attributes:
        util: share of time with a kernel running, 0 to 1.
        sm: share of the SMs that are busy, as a factor on util.
        memory: share of the device's memory in use.
        requests_per_second: requests to the whole workload, None if it serves none.
        devices: how many devices of a pod are used, None for all.
    """

    util: Track
    sm: Track
    memory: Track
    requests_per_second: Track | None = None
    devices: int | None = None


def activity(archetype: Archetype, clock: Clock, rng: np.random.Generator) -> Activity:
    """The activity of a workload of this archetype over the clock's window."""
    level = rng.uniform(*archetype.level)
    memory = rng.uniform(*archetype.memory)
    return _BEHAVIOURS[archetype.behaviour](clock, level, memory, rng)


def _flat(clock: Clock, value: float) -> Track:
    return np.full(clock.window.steps, value, dtype=np.float32)


def _autoregression(clock: Clock, minutes: float, rng: np.random.Generator) -> Track:
    """A unit-variance autoregression with a memory of about this many minutes."""
    keep = np.exp(-1.0 / clock.steps(minutes))
    noise = rng.standard_normal(clock.window.steps, dtype=np.float32) * np.sqrt(1 - keep**2)
    filtered, _ = lfilter([1.0], [1.0, -keep], noise, zi=[rng.standard_normal() * keep])
    return np.asarray(filtered, dtype=np.float32)


def _random_periods(
    clock: Clock, per_day: float, minutes: tuple[float, float], rng: np.random.Generator
) -> NDArray[np.bool_]:
    """True within periods that start at random and have log-uniform lengths."""
    inside = np.zeros(clock.window.steps, dtype=bool)
    for start in rng.integers(0, clock.window.steps, rng.poisson(per_day * clock.window.seconds / DAY_S)):
        inside[start : start + clock.steps(np.exp(rng.uniform(*np.log(minutes))))] = True
    return inside


def _steady(clock: Clock, _level: float, memory: float, rng: np.random.Generator) -> Activity:
    """Training that keeps its cards fully used except during checkpoints and restarts."""
    util = _TOP_LEVELS[np.searchsorted(_TOP_SHARES, rng.random(clock.window.steps) * _TOP_SHARES[-1])]
    util[_checkpoints(clock, rng)] *= rng.uniform(0.05, 0.4)
    down = _random_periods(clock, 0.25, (8, 120), rng)
    util[down] = 0.0
    used = _flat(clock, memory)
    used[down] = 0.01
    return Activity(util, _flat(clock, rng.uniform(0.45, 0.85)), used)


def _checkpoints(clock: Clock, rng: np.random.Generator) -> NDArray[np.bool_]:
    every = clock.steps(rng.uniform(90, 300))
    return (np.arange(clock.window.steps) + rng.integers(every)) % every < clock.steps(rng.uniform(2, 5))


def _input_bound(clock: Clock, level: float, memory: float, rng: np.random.Generator) -> Activity:
    """Training whose data loading cannot keep up."""
    util = np.clip(level + 0.12 * _autoregression(clock, 30, rng), 0.05, 0.99)
    util[_random_periods(clock, 0.3, (8, 90), rng)] = 0.0
    return Activity(util, _flat(clock, rng.uniform(0.35, 0.7)), _flat(clock, memory))


def _partial(clock: Clock, level: float, memory: float, rng: np.random.Generator) -> Activity:
    """Training that requested several devices per pod and computes on one."""
    whole = _input_bound(clock, level, memory, rng)
    return Activity(whole.util, whole.sm, whole.memory, devices=1)


def _stalled(clock: Clock, level: float, memory: float, rng: np.random.Generator) -> Activity:
    """A collective that never completes: the driver reports 100 %, and no SM is active."""
    running = _steady(clock, level, memory, rng)
    stall = int(clock.window.steps * rng.uniform(0.35, 0.55))
    running.util[stall:] = 1.0
    running.sm[stall:] = 0.0
    running.memory[stall:] = memory
    return running


def _serving(clock: Clock, level: float, memory: float, rng: np.random.Generator) -> Activity:
    """An endpoint with users: a daily and a weekly pattern, and noise that lasts some minutes."""
    peak_hour = rng.uniform(12, 17)
    night = rng.uniform(0.08, 0.4)
    day = 0.5 + 0.5 * np.cos((clock.hour - peak_hour) * np.float32(np.pi / 12))
    week = np.where(clock.workday, np.float32(1.0), np.float32(rng.uniform(0.35, 0.95)))
    load = (night + (1 - night) * day**1.5) * week * np.exp(0.18 * _autoregression(clock, 8, rng))
    util = np.minimum(level * load, 1.0).astype(np.float32)
    requests = (load * np.float32(rng.uniform(2, 60))).astype(np.float32)
    return Activity(util, _flat(clock, rng.uniform(0.25, 0.7)), _flat(clock, memory), requests)


def _uncalled(clock: Clock, _level: float, memory: float, _rng: np.random.Generator) -> Activity:
    """An endpoint without requests; its memory stays reserved."""
    return Activity(_flat(clock, 0.0), _flat(clock, 0.0), _flat(clock, memory), _flat(clock, 0.0))


def _sparse(clock: Clock, level: float, memory: float, rng: np.random.Generator) -> Activity:
    """An endpoint with occasional requests, more in working hours than at night."""
    called = _random_periods(clock, rng.uniform(2, 6), (2, 25), rng)
    called &= (clock.workday & (clock.hour > 7) & (clock.hour < 20)) | (rng.random() < 0.2)
    util = np.where(called, np.clip(level + 0.15 * _autoregression(clock, 3, rng), 0.02, 1.0), 0.0).astype(np.float32)
    requests = np.where(called, util * np.float32(rng.uniform(1, 8)), 0.0).astype(np.float32)
    return Activity(util, _flat(clock, rng.uniform(0.3, 0.6)), _flat(clock, memory), requests)


def _crunching(clock: Clock, _level: float, memory: float, rng: np.random.Generator) -> Activity:
    """Batch work: long computation between phases of reading and writing."""
    top = rng.uniform(0.75, 0.99)
    util = np.clip(top + 0.07 * _autoregression(clock, 20, rng), 0.05, 1.0)
    reading = _random_periods(clock, rng.uniform(6, 24), (4, 25), rng)
    util[reading] *= rng.uniform(0.05, 0.4)
    return Activity(util, _flat(clock, rng.uniform(0.4, 0.8)), _flat(clock, memory))


def _office(clock: Clock, level: float, memory: float, rng: np.random.Generator) -> Activity:
    """A notebook used in working hours; between runs, the kernel keeps its memory."""
    runs = _random_periods(clock, rng.uniform(8, 20), (4, 90), rng)
    runs &= clock.workday & (clock.hour >= rng.uniform(8, 10)) & (clock.hour < rng.uniform(17, 20))
    util = np.where(runs, np.clip(level + 0.25 * _autoregression(clock, 10, rng), 0.01, 1.0), 0.0).astype(np.float32)
    grown = np.minimum(1.0, 0.3 + np.cumsum(runs, dtype=np.float32) * np.float32(0.7 / max(runs.sum(), 1)))
    return Activity(util, _flat(clock, rng.uniform(0.3, 0.8)), (memory * np.round(grown, 1)).astype(np.float32))


def _forgotten(clock: Clock, level: float, memory: float, rng: np.random.Generator) -> Activity:
    """Busy in its first days, then abandoned with its memory still allocated."""
    abandoned = int(clock.window.steps * rng.uniform(0.02, 0.25))
    whole = _crunching(clock, level, memory, rng)
    whole.util[abandoned:] = 0.0
    return whole


_BEHAVIOURS: dict[Behaviour, Callable[[Clock, float, float, np.random.Generator], Activity]] = {
    Behaviour.STEADY: _steady,
    Behaviour.INPUT_BOUND: _input_bound,
    Behaviour.PARTIAL: _partial,
    Behaviour.STALLED: _stalled,
    Behaviour.SERVING: _serving,
    Behaviour.UNCALLED: _uncalled,
    Behaviour.SPARSE: _sparse,
    Behaviour.CRUNCHING: _crunching,
    Behaviour.OFFICE: _office,
    Behaviour.FORGOTTEN: _forgotten,
}
