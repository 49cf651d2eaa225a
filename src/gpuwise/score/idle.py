"""Idleness: masks over steps, and their runs.

A step of a device is idle if every signal that the device ever reported was sampled in it and none reached its
threshold. So more activity, or fewer samples, can only reduce the idle steps (I3 in docs/safety.md); a step with a
missing sample is not idle (I1).
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.gpu import named
from gpuwise.model.signal import Signal
from gpuwise.score.settings import ScoreSettings

Mask = NDArray[np.bool_]

ACTIVITY = (
    Signal.SM_ACTIVITY,
    Signal.TENSOR_ACTIVITY,
    Signal.DRAM_ACTIVITY,
    Signal.GPU_UTIL,
    Signal.KERNEL_ACTIVITY,
)
# Used memory is not a sign of use: endpoints keep their weights and KV cache loaded for weeks.
VOTER_BITS: dict[Signal, int] = {
    Signal.SM_ACTIVITY: 1,
    Signal.TENSOR_ACTIVITY: 2,
    Signal.DRAM_ACTIVITY: 4,
    Signal.GPU_UTIL: 8,
    Signal.POWER: 16,
    Signal.KERNEL_ACTIVITY: 32,
}
"""Signals that decide about idleness; checkpoints store these bits, so a number must never be reused."""

ACTIVITY_BITS = sum(VOTER_BITS[signal] for signal in ACTIVITY)


def threshold(signal: Signal, gpu_type: str | None, settings: ScoreSettings) -> float | None:
    """The value at which a signal vetoes idleness on this card; None if the power limit of the card is not known."""
    if signal is not Signal.POWER:
        return settings.activity_idle_below
    gpu = named(gpu_type) if gpu_type else None
    return gpu.idle_ratio * gpu.board_watts if gpu else None


class Runs(NamedTuple):
    """Maximal runs of True in a mask, as half-open ranges of steps.

    Attributes:
        starts: first step of each, ascending, shape (runs,).
        ends: first step after each, shape (runs,).
    """

    starts: NDArray[np.intp]
    ends: NDArray[np.intp]

    @classmethod
    def of(cls, mask: Mask, *, at_least: int) -> "Runs":
        """The runs of True with at least this many steps."""
        edges = (mask[1:] != mask[:-1]).nonzero()[0] + 1
        first = [0] if mask.size and mask[0] else []
        last = [mask.size] if mask.size and mask[-1] else []
        bounds = np.concatenate((first, edges, last)).astype(np.intp) if first or last else edges
        starts, ends = bounds[::2], bounds[1::2]
        long = ends - starts >= at_least
        return cls(starts[long], ends[long])


def counted(bits: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Number of set bits in each row, shape (rows,)."""
    found: NDArray[np.uint16] = np.add.reduce(np.bitwise_count(_words(bits)), axis=1, dtype=np.uint16)
    return found


def any_set(bits: NDArray[np.uint8]) -> Mask:
    """Whether any bit of each row is set, shape (rows,)."""
    found: Mask = np.logical_or.reduce(_words(bits), axis=1)
    return found


def _words(bits: NDArray[np.uint8]) -> NDArray[Any]:
    """The rows in as few integers as possible: one for steps of 60 s and 300 s."""
    whole = np.ascontiguousarray(bits)
    return whole.view(f"u{bits.shape[1]}") if bits.shape[1] in (1, 2, 4, 8) else whole


def unpacked(bits: NDArray[np.uint8], per_hour: int) -> Mask:
    """The bits of hours as a mask over steps."""
    # Rows of whole bytes are unpacked in one call: unpackbits along an axis is far slower.
    steps: Mask = np.unpackbits(bits.ravel()).view(bool).reshape(bits.shape[0], -1)[:, :per_hour].ravel()
    return steps
