"""A window divided into hours."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.hours import DAY_H, HOUR_S
from gpuwise.model.usage import Window
from gpuwise.score.idle import Mask

Step = TypeVar("Step", np.bool_, np.float64)


@dataclass(frozen=True, slots=True)
class Grid:
    """A window divided into hours; it starts `offset` steps into the first hour."""

    first_hour: int
    end_hour: int
    per_hour: int
    offset: int
    steps: int

    @property
    def hours(self) -> int:
        """Number of hours that the window overlaps."""
        return self.end_hour - self.first_hour

    @property
    def days(self) -> int:
        """Number of UTC days that the window overlaps."""
        return (self.end_hour - 1) // DAY_H - self.first_hour // DAY_H + 1

    def packed(self, *masks: Mask) -> NDArray[np.uint8]:
        """Masks over the steps as bits, one row per hour, shape (masks, hours, bytes)."""
        width = -(-self.per_hour // 8)
        # Rows padded to whole bytes are packed in one call: packbits along an axis is 20 times slower.
        padded = np.zeros((len(masks), self.hours, width * 8), dtype=bool)
        for mask, into in zip(masks, padded, strict=True):
            into[:, : self.per_hour] = self.by_hour(mask, False)
        return np.packbits(padded.ravel()).reshape(len(masks), self.hours, width)

    def by_hour(self, steps: NDArray[Step], beyond: float) -> NDArray[Step]:
        """Values of the steps arranged by hour, shape (hours, per_hour).

        Args:
            steps: of the window, shape (steps,).
            beyond: the value for steps of these hours outside the window.
        """
        whole = self.hours * self.per_hour
        if steps.shape[0] != whole:
            padded = np.full(whole, beyond, dtype=steps.dtype)
            padded[self.offset : self.offset + steps.shape[0]] = steps
            steps = padded
        return steps.reshape(self.hours, self.per_hour)

    def any_by_hour(self, mask: Mask) -> Mask:
        """Whether any step of each hour is set, shape (hours,)."""
        found: Mask = np.logical_or.reduce(self.by_hour(mask, False), axis=1)
        return found

    def by_step(self, hours: Mask) -> Mask:
        """A mask over the hours, expanded to steps, shape (steps,)."""
        return np.repeat(hours, self.per_hour)[self.offset : self.offset + self.steps]


def grid_of(window: Window) -> Grid:
    """The hours that a window overlaps.

    Raises:
        ValueError: its step does not divide an hour, or it does not start on a step.
    """
    if HOUR_S % window.step_s or window.start_s % window.step_s:
        raise ValueError(f"steps of {window.step_s} s from {window.start_s} do not align with whole hours")
    first = window.start_s // HOUR_S
    return Grid(
        first_hour=first,
        end_hour=-(-window.end_s // HOUR_S),
        per_hour=HOUR_S // window.step_s,
        offset=(window.start_s - first * HOUR_S) // window.step_s,
        steps=window.steps,
    )
