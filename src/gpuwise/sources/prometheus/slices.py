"""The length of range queries, adapted to what the server can handle."""

from dataclasses import dataclass
from typing import Self

from gpuwise.model.usage import DAY_S

# Prometheus rejects queries with more than 11,000 points per series (web/api/v1, "exceeded maximum resolution").
_MOST_STEPS = 10_000
# Successes in a row after a rejection before slices get longer again: a rejected query costs the server as much as a
# successful one.
_PATIENCE = 4


@dataclass(slots=True)
class Slices:
    """The length of the next slice of a window: halved after each rejection, doubled after successes.

    Attributes:
        steps: length of the next slice, steps.
    """

    steps: int
    _most: int = _MOST_STEPS
    _successes_wanted: int = 1
    _successes: int = 0

    @classmethod
    def for_steps_of(cls, step_s: int) -> Self:
        """Start with one day, or with the largest number of steps that servers accept."""
        return cls(max(1, min(DAY_S // step_s, _MOST_STEPS)))

    def shorten(self, refused_steps: int) -> None:
        """Record that a slice of this many steps (more than one) was too much."""
        self.steps = refused_steps // 2
        self._successes_wanted, self._successes = _PATIENCE, 0

    def limit(self, refused_steps: int) -> None:
        """Record that a slice of this many steps (more than one) will always be too much."""
        self.steps = self._most = refused_steps // 2

    def succeeded(self) -> None:
        """Record that a slice succeeded."""
        self._successes += 1
        if self._successes >= self._successes_wanted:
            self.steps, self._successes = min(2 * self.steps, self._most), 0
