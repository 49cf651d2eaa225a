"""The expected cost of a job among several regions: models one region in detail and all others together.

On spot in a region, the state consists of that region's hidden state and the state of "any of the others has spot". The
latter is a hidden Markov process of its own, fitted on unions of zones, so that it contains their common outages. When
spot is lost, the job waits for its region, whose state it continues to follow, or moves to another region. The hidden
state of that region is drawn from the present belief about all of them: if spot changes often everywhere, the model
does not assume that the next region is stable. As in `values`, a value is linear in the belief, with the best choice
for each possible next observation.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gpuwise.recommend.engines.interruptible_on_demand.availability import AvailabilityModel
from gpuwise.recommend.engines.interruptible_on_demand.grid import Grid, Values, shifted
from gpuwise.recommend.engines.interruptible_on_demand.job import Job

# Prices that round to the same multiple of this, in USD per hour, share a table.
_PRICE_STEP = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Market:
    """Transition probabilities of one region, and of the union of the others, from table row to table row.

    Attributes:
        zone: model of one region.
        union: model of whether any of several regions has spot.
        zone_moves: hidden state to hidden state, shape (z, z).
        union_moves: the same for the union, shape (u, u).
    """

    zone: AvailabilityModel
    union: AvailabilityModel
    zone_moves: Values
    union_moves: Values

    @classmethod
    def of(cls, zone: AvailabilityModel, union: AvailabilityModel, step_s: float) -> "Market":
        """The transition probabilities over a step.

        Args:
            zone: model of one region.
            union: model of whether any of several regions has spot.
            step_s: step of the table, seconds.
        """
        moves = (one.transition(step_s).astype(np.float32) for one in (zone, union))
        return cls(zone, union, *moves)


@dataclass(frozen=True, slots=True, eq=False)
class RegionPlan:
    """The expected cost of a job from a row on, among several regions.

    Attributes:
        job: the job.
        market: the model of the regions.
        grid: the grid of the values.
        first_row: row in which the plan was made; the first table row is the next one.
        usd_h: price of spot in the region to which the job moves next.
        fresh: belief about the hidden state of that region, given that it has spot, shape (z,).
        spot: expected USD before a row is observed, on spot at `usd_h`, by table row, hidden state, union state and
            slack, shape (n, z, u, levels).
        waiting: the same with nothing running; the hidden state is that of the region where the job last ran.
        on_demand: the same on on-demand.
        lost: the part of `waiting` in which that region has no spot in the row.
        other_prices: `spot` at other prices, computed when needed.
    """

    job: Job
    market: Market
    grid: Grid
    first_row: int
    usd_h: float
    fresh: NDArray[np.float64]
    spot: Values = field(init=False)
    waiting: Values = field(init=False)
    on_demand: Values = field(init=False)
    lost: Values = field(init=False)
    other_prices: dict[int, Values] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Compute the tables, from the deadline back to the first row."""
        steps = math.ceil((self.job.rows - self.first_row - 1) / self.grid.stride)
        shape = (steps + 1, len(self.market.zone.up), len(self.market.union.up), self.grid.levels)
        spot, waiting, on_demand, lost = (np.zeros(shape, dtype=np.float32) for _ in range(4))
        for index in range(steps - 1, -1, -1):
            after = spot[index + 1], waiting[index + 1], on_demand[index + 1]
            lost[index], waiting[index], on_demand[index] = self._stopped(*after)
            spot[index] = self._kept(spot[index + 1], self.usd_h, self.market.union_moves) + lost[index]
            self._finish(index, spot, waiting, on_demand, lost)
        for name, values in (("spot", spot), ("waiting", waiting), ("on_demand", on_demand), ("lost", lost)):
            object.__setattr__(self, name, values)

    def index(self, row: int) -> int:
        """The table row for a row, or the last one before it.

        Args:
            row: later than `first_row`.
        """
        return (row - self.first_row - 1) // self.grid.stride

    def spot_at(self, usd_h: float) -> Values:
        """The values on spot at a price; a price at most 10 % above the plan's `usd_h` counts as that one.

        Args:
            usd_h: price of spot in the region.
        """
        if usd_h <= 1.1 * self.usd_h:
            return self.spot
        step = round(usd_h / _PRICE_STEP)
        if step not in self.other_prices:
            self.other_prices[step] = self._spot_at(step * _PRICE_STEP)
        return self.other_prices[step]

    def _spot_at(self, usd_h: float) -> Values:
        """The values on spot at a higher price: the job may also leave such a region while it still has spot."""
        spot, (some, none) = np.zeros_like(self.spot), self._union_moves()
        chance_up = (self.market.zone_moves * self.market.zone.up).sum(axis=1)[:, None, None]
        for index in range(len(spot) - 2, -1, -1):
            kept = [self._kept(spot[index + 1], usd_h, to) for to in (some, none)]
            gone = chance_up * (some @ self._gone(self.spot[index + 1]))
            spot[index] = np.minimum(kept[0], gone) + kept[1] + self.lost[index]
            self._finish(index, spot)
        return spot

    def _stopped(self, spot: Values, waiting: Values, on_demand: Values) -> tuple[Values, Values, Values]:
        """Without spot: the best choice for each possible observation in the next row.

        If the last region has spot again, a launch there costs only a restart; in another region also a migration.

        Returns:
            With nothing running, the part in which that region has no spot, and the total; the total on on-demand.
        """
        up, down = (self.market.zone_moves * label for label in (self.market.zone.up, ~self.market.zone.up))
        some, none = self._union_moves()
        step, restart = self.job.step_s * self.grid.stride, self.grid.level(self.job.restart_s)
        price = self._usd(self.job.on_demand_usd_h)
        idle, start, stay = (
            shifted(waiting, self.grid.level(step)),
            price + shifted(on_demand, restart),
            price + on_demand,
        )
        back = self._usd(self.usd_h) + shifted(spot, restart)
        gone = down.sum(axis=1)[:, None, None] * (some @ self._gone(spot))
        observations = [(up, some + none, [_over(up, some + none, back)]), (down, some, [gone]), (down, none, [])]
        costs = []
        for zone, union, offers in observations:
            free = np.minimum.reduce([_over(zone, union, idle), *offers])
            costs.append([np.minimum(free, _over(zone, union, run)) for run in (start, stay)])
        (up_idle, up_run), (some_idle, some_run), (none_idle, none_run) = costs
        lost = some_idle + none_idle
        return lost, up_idle + lost, up_run + some_run + none_run

    def _gone(self, spot: Values) -> Values:
        """Cost of a move to another region that has spot, by union state and slack."""
        move = self.grid.level(self.job.restart_s + self.job.migration_s)
        there: Values = np.tensordot(self.fresh.astype(np.float32), spot, (0, 0))
        return self._usd(self.usd_h) + shifted(there, move)

    def _kept(self, spot: Values, usd_h: float, union: Values) -> Values:
        """The part of the cost in which spot is still available and the job keeps it."""
        return _over(self.market.zone_moves * self.market.zone.up, union, self._usd(usd_h) + spot)

    def _union_moves(self) -> tuple[Values, Values]:
        """Transitions of the others to states in which some region has spot, and to states in which none has."""
        return self.market.union_moves * self.market.union.up, self.market.union_moves * ~self.market.union.up

    def _usd(self, usd_h: float) -> np.float32:
        return np.float32(usd_h * self.job.step_h * self.grid.stride)

    def _finish(self, index: int, *tables: Values) -> None:
        finished = self.grid.finished(self.job.rows - self.first_row - 1 - index * self.grid.stride, self.job.step_s)
        for table in tables:
            table[index][..., finished] = 0.0


def _over(zone: Values, union: Values, values: Values) -> Values:
    """The expectation of the values after a transition, by the states before it: shape (z, u, levels)."""
    expected: Values = np.tensordot(zone, union @ values, (1, 0))
    return expected
