"""The choice among waiting, on-demand and spot in one of several regions."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gpuwise.recommend.engines.interruptible_on_demand.availability import AvailabilityModel
from gpuwise.recommend.engines.interruptible_on_demand.grid import PROHIBITIVE, grid_of
from gpuwise.recommend.engines.interruptible_on_demand.job import (
    Bools,
    Floats,
    Job,
    Progress,
    Use,
    advance,
    after_steps,
    is_safe,
    slack_s,
)
from gpuwise.research.interruptible_on_demand.region_values import Market, RegionPlan

# A job keeps its spot if no available region is cheaper by more than this factor: a move costs a restart and a
# migration.
_KEPT_WITHIN = 1.2

# More expensive regions do not count for "some region has spot": a region that always has spot at a multiple of the
# others' price would look like cheap spot.
_AFFORDABLE, _BELOW_ON_DEMAND = 1.6, 0.9

# A plan is computed again after this time, because the beliefs about the regions change.
_PLAN_S = 6 * 3600.0

# The belief about the region to which the job moves next is the belief about all regions this much later.
_FRESH_S = 3600.0

# Rows and levels of slack in a plan: levels of 5.5 minutes at 22 h of slack. Rows of 10 minutes took three times as
# long, and the difference in cost was below what four draws can resolve.
_TABLE_STEP_S = 1800.0
_MOST_LEVELS = 240


@dataclass(frozen=True, slots=True, eq=False)
class Outlook:
    """Beliefs about several regions, with a row observed.

    Attributes:
        zones: belief about the hidden state of each region, shape (regions, z).
        others: for each region, belief about the union of the other regions, shape (regions, u).
        all: belief about the union of all regions, shape (u,).
    """

    zones: Floats
    others: Floats
    all: Floats


@dataclass(frozen=True, slots=True, eq=False)
class RegionScheduler:
    """Decides for one job; its observations and plans are in the values that `observe` and `plan` return.

    Attributes:
        job: the job.
        zone: model of one region.
        union: model of whether any of several regions has spot.
    """

    job: Job
    zone: AvailabilityModel
    union: AvailabilityModel
    _zone_moves: Floats = field(init=False)
    _union_moves: Floats = field(init=False)

    def __post_init__(self) -> None:
        """Compute the transitions over one step, which every row needs."""
        object.__setattr__(self, "_zone_moves", self.zone.transition(self.job.step_s))
        object.__setattr__(self, "_union_moves", self.union.transition(self.job.step_s))

    def observe(self, before: Outlook | None, available: Bools, usd_h: Floats) -> Outlook:
        """The outlook after another row was observed.

        Args:
            before: outlook with the rows before; None at the first row.
            available: availability by region.
            usd_h: spot price by region.
        """
        count = len(available)
        if before is None:
            before = Outlook(
                np.tile(self.zone.start, (count, 1)), np.tile(self.union.start, (count, 1)), self.union.start
            )
        else:
            before = Outlook(
                before.zones @ self._zone_moves, before.others @ self._union_moves, before.all @ self._union_moves
            )
        counted = available & self._affordable(usd_h)
        return Outlook(
            self.zone.observe(before.zones, available),
            self.union.observe(before.others, counted.sum() - counted > 0),
            self.union.observe(before.all, counted.any()),
        )

    def _affordable(self, usd_h: Floats) -> Bools:
        limit = min(_AFFORDABLE * usd_h.min(), _BELOW_ON_DEMAND * self.job.on_demand_usd_h)
        return np.asarray(usd_h <= max(limit, usd_h.min()))

    def plan(self, outlook: Outlook, usd_h: Floats, *, row: int) -> RegionPlan:
        """Compute the expected cost of the job from a row on.

        Args:
            outlook: outlook with that row.
            usd_h: spot price by region.
            row: row of the job, from 0.
        """
        grid = grid_of(self.job, _MOST_LEVELS, _TABLE_STEP_S)
        ahead = outlook.zones[self._affordable(usd_h)] @ self.zone.transition(_FRESH_S)
        fresh = (ahead * self.zone.up).sum(axis=0)
        market = Market.of(self.zone, self.union, self.job.step_s * grid.stride)
        return RegionPlan(self.job, market, grid, row, float(usd_h.min()), fresh / fresh.sum())

    def is_old(self, plan: RegionPlan | None, *, row: int) -> bool:
        """Whether there is no plan, or one that was computed too long ago.

        Args:
            plan: the last plan.
            row: row of the job, from 0.
        """
        return plan is None or (row - plan.first_row) * self.job.step_s >= _PLAN_S

    def keeps(self, now: Progress, available: Bools, usd_h: Floats, *, row: int) -> bool:
        """Whether the job stays on its spot without a plan: spot is available, safe and close to the cheapest.

        Args:
            now: progress of this job only.
            available: availability by region.
            usd_h: spot price by region.
            row: row of the job, from 0.
        """
        at = int(now.region[0])
        if now.use[0] != Use.SPOT or not available[at] or usd_h[at] > _KEPT_WITHIN * usd_h[available].min():
            return False
        return bool(is_safe(self.job, advance(self.job, now, now.use, now.region), self.job.rows - row - 1)[0])

    def decide(
        self, plan: RegionPlan, outlook: Outlook, now: Progress, available: Bools, usd_h: Floats, *, row: int
    ) -> tuple[Use, int]:
        """The safe use and region with the lowest expected cost; on-demand is always safe.

        Args:
            plan: the plan, made in this row or earlier.
            outlook: outlook with this row.
            now: progress of this job only.
            available: availability by region.
            usd_h: spot price by region.
            row: row of the job, from 0.
        """
        stay = max(int(now.region[0]), 0)
        choices = [(Use.NONE, stay), (Use.ON_DEMAND, stay)]
        choices += [(Use.SPOT, int(region)) for region in np.flatnonzero(available)]
        costs = [self._cost(plan, outlook, now, choice, usd_h, row=row) for choice in choices]
        return choices[int(np.argmin(costs))]

    def _cost(
        self, plan: RegionPlan, outlook: Outlook, now: Progress, choice: tuple[Use, int], usd_h: Floats, *, row: int
    ) -> float:
        """Expected USD of a choice in this row followed by the best choices; infinite if the choice is not safe."""
        use, region = choice
        uses, where, rows_left = np.array([int(use)]), np.array([region]), self.job.rows - row
        if not is_safe(self.job, advance(self.job, now, uses, where), rows_left - 1)[0]:
            return float(PROHIBITIVE) if use is Use.ON_DEMAND else np.inf
        # The table has no steps shorter than its own, so a choice is valued as if it lasted for one step of the table.
        steps = min(plan.grid.stride, rows_left)
        after, billed = after_steps(self.job, now, uses, where, steps=steps)
        price = {Use.NONE: 0.0, Use.SPOT: float(usd_h[region]), Use.ON_DEMAND: self.job.on_demand_usd_h}[use]
        spent = price * self.job.step_h * int(billed[0])
        if after.done[0] or rows_left == steps:
            return spent
        index = plan.index(row + steps)
        level = float(slack_s(self.job, after, rows_left - steps)[0]) / plan.grid.quantum_s
        table = {Use.NONE: plan.waiting, Use.ON_DEMAND: plan.on_demand}.get(use)
        values = plan.spot_at(price) if table is None else table
        return spent + _mean(values[index], outlook.zones[region][:, None] * outlook.others[region], level)


def _mean(values: NDArray[np.float32], belief: Floats, level: float) -> float:
    """Values at a level, averaged with a belief over all axes but the last."""
    level = min(max(level, 0.0), values.shape[-1] - 1)
    low = int(level)
    high = min(low + 1, values.shape[-1] - 1)
    between = (1 - (level - low)) * values[..., low] + (level - low) * values[..., high]
    return float((belief * between).sum())
