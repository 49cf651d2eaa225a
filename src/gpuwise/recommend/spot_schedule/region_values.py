"""What it costs to go on among several regions: one of them followed closely, the others as one.

On spot in a region, the state is that region's hidden state and the state of "any of the others has spot", which is a
hidden Markov process of its own, fitted on unions of zones, so that outages which they share are in it. When spot is
lost, the job goes to a region whose hidden state is drawn from what is believed of all of them now: where all flicker,
it is not taken for granted that the next one holds. As in `values`, a value is linear in the belief.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gpuwise.recommend.spot_schedule.availability import AvailabilityModel
from gpuwise.recommend.spot_schedule.grid import Grid, Values, shifted
from gpuwise.recommend.spot_schedule.job import Job

# USD an hour within which two prices share a table.
_PRICE_STEP = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Market:
    """Moves of one region and of the union of the others from table row to table row.

    Attributes:
        zone: model of one region.
        union: model of whether any of several has spot.
        zone_moves: hidden state to hidden state, shape (z, z).
        union_moves: the same of the union, shape (u, u).
    """

    zone: AvailabilityModel
    union: AvailabilityModel
    zone_moves: Values
    union_moves: Values

    @classmethod
    def of(cls, zone: AvailabilityModel, union: AvailabilityModel, step_s: float) -> "Market":
        """Moves over a step.

        Args:
            zone: model of one region.
            union: model of whether any of several has spot.
            step_s: of the table, seconds.
        """
        moves = (one.transition(step_s).astype(np.float32) for one in (zone, union))
        return cls(zone, union, *moves)


@dataclass(frozen=True, slots=True, eq=False)
class RegionPlan:
    """What a job may cost from a row on, among several regions.

    Attributes:
        job: whose plan it is.
        market: how regions behave.
        grid: of the values.
        first_row: from which the plan was made; the first table row is the one after.
        usd_h: price of spot that the job finds where it goes next.
        fresh: hidden state of the region that it finds there, given that it has spot, shape (z,).
        waiting: USD before a row is seen, with nothing running, by table row, union state, slack, shape (n, u, levels).
        on_demand: the same on on-demand.
        spot: the same on spot at `usd_h`, shape (n, z, u, levels).
        dearer: `spot` at other prices, as they are asked for.
    """

    job: Job
    market: Market
    grid: Grid
    first_row: int
    usd_h: float
    fresh: NDArray[np.float64]
    waiting: Values = field(init=False)
    on_demand: Values = field(init=False)
    spot: Values = field(init=False)
    dearer: dict[int, Values] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Tabulate, from the deadline back to the first row."""
        steps = math.ceil((self.job.rows - self.first_row - 1) / self.grid.stride)
        states = (len(self.market.zone.up), len(self.market.union.up), self.grid.levels)
        waiting, on_demand = (np.zeros((steps + 1, *states[1:]), dtype=np.float32) for _ in range(2))
        spot = np.zeros((steps + 1, *states), dtype=np.float32)
        for index in range(steps - 1, -1, -1):
            waiting[index], on_demand[index] = self._left(waiting[index + 1], on_demand[index + 1], spot[index + 1])
            spot[index] = self._held(spot[index + 1], self.usd_h)
            spot[index] += self._lost()[:, None, None] * waiting[index]
            self._finish(index, waiting, on_demand, spot)
        for name, values in (("waiting", waiting), ("on_demand", on_demand), ("spot", spot)):
            object.__setattr__(self, name, values)

    def index(self, row: int) -> int:
        """The table row of a row, or the last one before it.

        Args:
            row: above `first_row`.
        """
        return (row - self.first_row - 1) // self.grid.stride

    def spot_at(self, usd_h: float) -> Values:
        """Values on spot at a price; one that is at most a tenth above `usd_h` counts as that.

        Args:
            usd_h: price of spot there.
        """
        if usd_h <= 1.1 * self.usd_h:
            return self.spot
        step = round(usd_h / _PRICE_STEP)
        if step not in self.dearer:
            self.dearer[step] = self._spot_at(step * _PRICE_STEP)
        return self.dearer[step]

    def _spot_at(self, usd_h: float) -> Values:
        """A dear region may also be left for another while it still has spot."""
        spot = np.zeros_like(self.spot)
        lost = self._lost()[:, None, None]
        for index in range(len(spot) - 2, -1, -1):
            left = self.waiting[index]
            held = self._held(spot[index + 1], usd_h)
            spot[index] = np.minimum(held, (1 - lost) * left) + lost * left
            self._finish(index, spot)
        return spot

    def _left(self, waiting: Values, on_demand: Values, spot: Values) -> tuple[Values, Values]:
        """With no spot of one's own: the best that a union with and without spot leaves to choose."""
        up, down = self.market.union_moves * self.market.union.up, self.market.union_moves * ~self.market.union.up
        chance_up, chance_down = (to.sum(axis=1, keepdims=True) for to in (up, down))
        wait = self.grid.level(self.job.step_s * self.grid.stride)
        restart, move = (self.grid.level(s) for s in (self.job.restart_s, self.job.restart_s + self.job.migration_s))
        found = np.tensordot(self.fresh.astype(np.float32), spot, (0, 0))
        go = self._usd(self.usd_h) * chance_up + shifted(up @ found, move)
        dear = self._usd(self.job.on_demand_usd_h)
        stay_up, stay_down = dear * chance_up + up @ on_demand, dear * chance_down + down @ on_demand
        start_up, start_down = shifted(up @ on_demand, restart), shifted(down @ on_demand, restart)
        idle_up, idle_down = shifted(up @ waiting, wait), shifted(down @ waiting, wait)
        free_up, free_down = np.minimum(go, idle_up), idle_down
        return (
            np.minimum(free_up, dear * chance_up + start_up) + np.minimum(free_down, dear * chance_down + start_down),
            np.minimum(free_up, stay_up) + np.minimum(free_down, stay_down),
        )

    def _held(self, spot: Values, usd_h: float) -> Values:
        """The part of the cost in which spot is still there and is kept."""
        up = self.market.zone_moves * self.market.zone.up
        kept = self.market.union_moves @ np.tensordot(up, spot, (1, 0))
        held: Values = self._usd(usd_h) * up.sum(axis=1)[:, None, None] + kept
        return held

    def _lost(self) -> Values:
        lost: Values = (self.market.zone_moves * ~self.market.zone.up).sum(axis=1)
        return lost

    def _usd(self, usd_h: float) -> np.float32:
        return np.float32(usd_h * self.job.step_h * self.grid.stride)

    def _finish(self, index: int, *tables: Values) -> None:
        finished = self.grid.finished(self.job.rows - self.first_row - 1 - index * self.grid.stride, self.job.step_s)
        for table in tables:
            table[index][..., finished] = 0.0
