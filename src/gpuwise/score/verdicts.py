"""The verdict of each signal about idleness, over the whole hours since the workload became idle."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from gpuwise.model.hours import DEVICE_SIGNALS, HourRows
from gpuwise.model.profile import IdleEvidence, IdleIntervals, SignalVerdict, Verdict
from gpuwise.model.signal import SIGNALS, Signal
from gpuwise.score.devices import AllocatedDevice
from gpuwise.score.idle import VOTER_BITS, threshold
from gpuwise.score.settings import ScoreSettings
from gpuwise.score.summary import Levels

# Any request is use; the smallest positive float expresses "more than none" as a threshold.
_ANY_REQUEST = float(np.nextafter(0.0, 1.0))

_VOTERS = [(signal, DEVICE_SIGNALS.index(signal)) for signal in VOTER_BITS]


@dataclass(frozen=True, slots=True)
class LookBack:
    """The whole hours that verdicts cover.

    Attributes:
        first_hour: first of them.
        end_hour: first hour after them.
        step_0_hour: hour of the grid's step 0.
        last_step: first step after the window.
        per_hour: steps in an hour.
    """

    first_hour: int
    end_hour: int
    step_0_hour: int
    last_step: int
    per_hour: int

    @property
    def start_step(self) -> int:
        """Their first step."""
        return (self.first_hour - self.step_0_hour) * self.per_hour

    def of(self, rows: HourRows) -> HourRows:
        """The rows of these hours."""
        return rows.between(self.first_hour, self.end_hour)


def evidence(
    found: IdleIntervals,
    idle_gpu_s: float,
    verdicts: tuple[SignalVerdict, ...],
    *,
    window_end_s: int,
) -> IdleEvidence:
    """Combine intervals and verdicts; sensors can only agree about the interval that reaches the window's end."""
    since_s = found.reaching(window_end_s)
    agreeing = {SIGNALS[v.signal].sensor for v in verdicts if v.verdict is Verdict.IDLE}
    return IdleEvidence(found, idle_gpu_s, since_s, verdicts, len(agreeing) if since_s is not None else 0)


def verdicts_of(
    devices: Sequence[tuple[AllocatedDevice, Levels]],
    requests: HourRows | None,
    back: LookBack,
    settings: ScoreSettings,
) -> Iterator[SignalVerdict]:
    """The verdict of every signal over the look-back.

    Args:
        devices: of the workload, each with its samples in the look-back.
        requests: its rows of requests, None if no source reports requests.
        back: the hours that the verdicts cover.
        settings: thresholds.
    """
    every = (_Known.over(back, device, levels, settings) for device, levels in devices)
    known = [one for one in every if one.expected > 0]
    for signal, column in _VOTERS:
        verdict = _device_verdict(known, signal, column, settings)
        if verdict is not None:
            yield verdict
    if requests is not None:
        rows = back.of(requests)
        expected = max(1, back.last_step - back.start_step)
        highest = float(np.fmax.reduce(rows.rows["peak"], initial=np.nan))
        yield _verdict(Signal.REQUESTS, highest, _ANY_REQUEST, int(rows.rows["seen"].sum()) / expected, settings)


@dataclass(frozen=True, slots=True)
class _Known:
    """The signals of a device over the look-back.

    Attributes:
        limits: thresholds by signal, None where there is none.
        expected: number of steps in which it was allocated.
        highest: largest sample by signal, NaN without one.
        seen: samples by signal.
    """

    limits: Sequence[float | None]
    expected: int
    highest: Sequence[float]
    seen: Sequence[int]

    @classmethod
    def over(cls, back: LookBack, device: AllocatedDevice, levels: Levels, settings: ScoreSettings) -> "_Known":
        return cls(
            limits=_limits(device.pod_device.gpu_type, settings),
            expected=device.end - max(device.start, back.start_step),
            highest=levels.highest.tolist(),
            seen=levels.seen.tolist(),
        )


@lru_cache(maxsize=64)
def _limits(gpu_type: str | None, settings: ScoreSettings) -> tuple[float | None, ...]:
    """The threshold of each signal on a card."""
    return tuple(threshold(signal, gpu_type, settings) if signal in VOTER_BITS else None for signal in DEVICE_SIGNALS)


def _device_verdict(
    devices: Sequence[_Known], signal: Signal, column: int, settings: ScoreSettings
) -> SignalVerdict | None:
    """One signal over all devices: the value nearest to its threshold decides; the coverage is the lowest of all."""
    highest, nearest, limit, coverage = math.nan, -math.inf, 0.0, 1.0
    for device in devices:
        own_limit = device.limits[column]
        if own_limit is None:
            continue
        coverage = min(coverage, device.seen[column] / device.expected)
        if device.highest[column] / own_limit > nearest:
            highest, limit = device.highest[column], own_limit
            nearest = highest / limit
    return None if math.isnan(highest) else _verdict(signal, highest, limit, coverage, settings)


def _verdict(signal: Signal, highest: float, limit: float, coverage: float, settings: ScoreSettings) -> SignalVerdict:
    if highest >= limit:
        verdict = Verdict.BUSY
    elif math.isnan(highest) or coverage < settings.full_coverage:
        verdict = Verdict.UNKNOWN
    else:
        verdict = Verdict.IDLE
    return SignalVerdict(signal, None if math.isnan(highest) else highest, limit, coverage, verdict)
