"""The gaps between an endpoint's requests, at the resolution at which its request counters are sampled."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.usage import DAY_S

Mask = NDArray[np.bool_]


@dataclass(frozen=True)  # no slots, as in `gpuwise.model.profile`
class RequestGaps:
    """The spans of an endpoint without a request, as sampled steps show them.

    A step is silent if it was sampled and no request was in it. A step without a sample counts as one with a request:
    it ends a gap, so missing samples make gaps shorter and never longer. Of a gap between two requests, the whole steps
    are silent: it is longer than `lasted_s`, and shorter than `lasted_s` + 2 `step_s`.

    Attributes:
        step_s: length of a step, seconds.
        start_s: beginning of the first step with a sample, epoch seconds.
        end_s: end of the last step.
        since_s: beginning of the first silent step of each gap, ascending, int64 of shape (n,).
        lasted_s: length of its silent steps, int64 of shape (n,).
        pairs: by UTC day from that of `start_s`, how many pairs of neighbouring steps both had a request, int64 of
            shape (days,). Whether there was a gap between their requests is not known; it was below 2 `step_s`.
        unknown_s: time of the steps without a sample.
    """

    step_s: int
    start_s: int
    end_s: int
    since_s: NDArray[np.int64]
    lasted_s: NDArray[np.int64]
    pairs: NDArray[np.int64]
    unknown_s: int

    @classmethod
    def of(cls, silent: Mask, known: Mask, *, start_s: int, step_s: int) -> Self:
        """Find the gaps.

        Args:
            silent: steps that are known to have had no request, shape (steps,).
            known: steps with a sample, same shape.
            start_s: beginning of the first step, epoch seconds.
            step_s: length of a step, seconds.
        """
        first = int(np.argmax(known)) if known.any() else 0
        silent, known, start_s = silent[first:], known[first:], start_s + first * step_s
        edges = (silent[1:] != silent[:-1]).nonzero()[0] + 1
        starts, ends = silent[:1].nonzero()[0], silent.size + silent[-1:].nonzero()[0]  # also where there is no step
        edges = np.concatenate((starts, edges, ends)).astype(np.int64)
        used = known & ~silent
        (pairs,) = (used[1:] & used[:-1]).nonzero()
        first_day, end_s = start_s // DAY_S, start_s + silent.size * step_s
        midnights_s = np.arange(first_day, -(-end_s // DAY_S) + 1) * DAY_S
        return cls(
            step_s=step_s,
            start_s=start_s,
            end_s=end_s,
            since_s=start_s + edges[::2] * step_s,
            lasted_s=(edges[1::2] - edges[::2]) * step_s,
            pairs=np.diff(pairs.searchsorted(-((start_s - midnights_s) // step_s))),
            unknown_s=int(silent.size - np.count_nonzero(known)) * step_s,
        )

    def between(self, start_s: int, end_s: int) -> Self:
        """The parts of the gaps that are in [start_s, end_s).

        Args:
            start_s: a midnight, or any time up to the first step.
            end_s: a midnight, or any time from the end of the last step on.
        """
        ends_s = self.since_s + self.lasted_s
        gaps = slice(int(ends_s.searchsorted(start_s, side="right")), int(self.since_s.searchsorted(end_s)))
        first_day = self.start_s // DAY_S
        days = slice(max(0, start_s // DAY_S - first_day), max(0, -(-end_s // DAY_S) - first_day))
        since_s = np.maximum(self.since_s[gaps], start_s)
        return type(self)(
            step_s=self.step_s,
            start_s=max(start_s, self.start_s),
            end_s=min(end_s, self.end_s),
            since_s=since_s,
            lasted_s=np.minimum(ends_s[gaps], end_s) - since_s,
            pairs=self.pairs[days],
            unknown_s=self.unknown_s,
        )
