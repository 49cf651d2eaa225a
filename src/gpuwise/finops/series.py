"""Daily cost as series: what budgets, forecasts and anomalies are computed from."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.cost import CostDay, CostSum
from gpuwise.model.usage import DAY_S

GONE_D = 14
"""Days without a record after which a cluster is gone; until then its cost of these days is missing, and not 0."""
Floats = NDArray[np.float64]
Keys = tuple[str | int | None, ...]


@dataclass(frozen=True, slots=True)
class Calendar:
    """The days of a history.

    Attributes:
        first_s: midnight of the first complete day, epoch seconds.
        complete: whether each day from there on is complete in every cluster; its length is that of the series.
    """

    first_s: int
    complete: NDArray[np.bool_]

    @classmethod
    def of(cls, days: Iterable[CostDay]) -> "Calendar":
        """Build it from the days of one or several clusters."""
        closed: dict[int, bool] = {}
        clusters: Counter[int] = Counter()
        for day in days:
            closed[day.day_s] = closed.get(day.day_s, True) and day.closed
            clusters[day.day_s] += 1
        for day_s in sorted(closed):
            most = max(clusters[at] for at in range(day_s - GONE_D * DAY_S, day_s + 1, DAY_S))
            closed[day_s] = closed[day_s] and clusters[day_s] == most
        whole = sorted(day_s for day_s, complete in closed.items() if complete)
        if not whole:
            return cls(0, np.zeros(0, dtype=bool))
        asked = range(whole[0], whole[-1] + DAY_S, DAY_S)
        return cls(whole[0], np.array([closed.get(day_s, False) for day_s in asked]))

    @property
    def end_s(self) -> int:
        """First second after the last complete day."""
        return self.first_s + len(self.complete) * DAY_S

    def at(self, day_s: int) -> int | None:
        """The place of a day in the series, None if it is not a complete day of it."""
        place = (day_s - self.first_s) // DAY_S
        return place if 0 <= place < len(self.complete) and self.complete[place] else None

    def series(self, amounts: Mapping[int, float]) -> Floats:
        """Daily amounts, shape (days,): 0 on a complete day without an entry, NaN on a day that is not complete.

        Args:
            amounts: by midnight.
        """
        found = np.where(self.complete, 0.0, np.nan)
        for day_s, amount in amounts.items():
            if (place := self.at(day_s)) is not None:
                found[place] += amount
        return found


def by_keys(sums: Iterable[CostSum]) -> dict[Keys, dict[int, CostSum]]:
    """The sums of each day, by their other keys; time of nobody is left out.

    Args:
        sums: by "day" and then other keys.
    """
    found: defaultdict[Keys, dict[int, CostSum]] = defaultdict(dict)
    for one in sums:
        if not one.nobody:
            day_s, *keys = one.keys
            found[tuple(keys)][int(day_s or 0)] = one
    return found


def usd_by_day(sums: Mapping[int, CostSum]) -> dict[int, float]:
    """Dollars of each day."""
    return {day_s: one.usd.capacity for day_s, one in sums.items()}


def mean_of(values: Floats) -> float | None:
    """The mean of the known values, None without any."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else None


def total(sums: Sequence[CostSum]) -> float:
    """Dollars of some sums."""
    return sum(one.usd.capacity for one in sums)
