"""How much to ask a server for at once: as much as it has shown to bear."""

from dataclasses import dataclass
from typing import Self

from gpuwise.model.usage import DAY_S

# Prometheus refuses more than 11,000 points per series (web/api/v1, "exceeded maximum resolution").
_MOST_STEPS = 10_000
# Successes in a row after a refusal before more is asked again: a refusal costs the server as much as an answer.
_PATIENCE = 4


@dataclass(slots=True)
class Slices:
    """The length of the next slice of a window: half after each refusal, twice after successes.

    Attributes:
        steps: of the next slice.
    """

    steps: int
    _successes_wanted: int = 1
    _successes: int = 0

    @classmethod
    def for_steps_of(cls, step_s: int) -> Self:
        """Start with a day, or as many steps as a server may be asked for."""
        return cls(max(1, min(DAY_S // step_s, _MOST_STEPS)))

    def shorten(self, refused_steps: int) -> None:
        """A slice of so many steps, more than one, was too much."""
        self.steps = refused_steps // 2
        self._successes_wanted, self._successes = _PATIENCE, 0

    def succeeded(self) -> None:
        """A slice was answered."""
        self._successes += 1
        if self._successes >= self._successes_wanted:
            self.steps, self._successes = min(2 * self.steps, _MOST_STEPS), 0
