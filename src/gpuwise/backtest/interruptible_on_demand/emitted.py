"""Replays what gpuwise emits for a job with a deadline, as a user would carry it out.

At each pass of the loop the engine of `gpuwise scan` decides from what it can see then: the saved progress, whether
spot is available at that moment, and what was seen at earlier passes. Until the next pass nobody decides: a job on spot
only runs whenever its pods get a spot node and waits otherwise, and a job on on-demand stays there.
"""

from collections.abc import Sequence

import numpy as np

from gpuwise.backtest.contract import Decisions
from gpuwise.backtest.interruptible_on_demand.trace import SpotTrace, replayed
from gpuwise.model.errors import InputError
from gpuwise.recommend.engines.interruptible_on_demand.availability import AvailabilityModel
from gpuwise.recommend.engines.interruptible_on_demand.job import Bools, Floats, Ints, Progress, Use
from gpuwise.recommend.engines.interruptible_on_demand.next_step import Terms, next_step


def emitted(trace: SpotTrace, models: Sequence[AvailabilityModel]) -> Decisions:
    """Replay the emitted decisions.

    Args:
        trace: windows of one region.
        models: the model of availability of each window.
    """
    passes = _Passes(trace, models)
    on_demand = np.zeros(len(models), dtype=bool)

    def choose(row: int, now: Progress) -> tuple[Ints, Ints]:
        nonlocal on_demand
        available = trace.available[:, row, 0]
        if row % passes.rows == 0:
            on_demand = passes.decided(row, now, available) == Use.ON_DEMAND
        use = np.where(on_demand, int(Use.ON_DEMAND), np.where(available, int(Use.SPOT), int(Use.NONE)))
        return use, np.zeros_like(use)

    return replayed(trace, choose)


class _Passes:
    """The passes of the loop over all windows of a trace."""

    def __init__(self, trace: SpotTrace, models: Sequence[AvailabilityModel]) -> None:
        """Group the windows by model; `rows` is the number of rows from pass to pass."""
        self.rows = round(trace.pass_s / trace.job.step_s)
        if self.rows < 1 or abs(self.rows * trace.job.step_s - trace.pass_s) > 1e-6:
            raise InputError(
                f"--pass-s {trace.pass_s:g} is not a multiple of the trace's step of {trace.job.step_s:g} s",
                hint="give a multiple of the step",
            )
        self._trace = trace
        self._models = list({id(model): model for model in models}.values())
        self._members = [np.flatnonzero([model is one for model in models]) for one in self._models]
        self._moves = [model.transition(trace.pass_s) for model in self._models]
        self._beliefs: list[Floats] = []

    def decided(self, row: int, now: Progress, available: Bools) -> Ints:
        """What each job runs on from this row until the next pass.

        Args:
            row: row of the pass.
            now: progress of the jobs.
            available: whether spot is available in this row, shape (windows,).
        """
        self._observe(available)
        job, use = self._trace.job, np.zeros(len(available), dtype=np.int64)
        terms = Terms(
            left_s=(job.rows - row) * job.step_s,
            margin_s=self._trace.margin_s,
            interval_s=self._trace.pass_s,
            restart_s=job.restart_s,
            on_demand_usd_h=job.on_demand_usd_h,
            spot_usd_h=float(self._trace.usd_h[0, 0, 0]),
        )
        for model, which, belief in zip(self._models, self._members, self._beliefs, strict=True):
            use[which] = next_step(terms, model, now.of(which), belief, available[which]).use
        return use

    def _observe(self, available: Bools) -> None:
        """Update the beliefs by what the pass sees."""
        if self._beliefs:
            before = [belief @ moved for belief, moved in zip(self._beliefs, self._moves, strict=True)]
        else:
            groups = zip(self._models, self._members, strict=True)
            before = [np.tile(model.start, (len(which), 1)) for model, which in groups]
        self._beliefs = [
            model.observe(belief, available[which])
            for model, which, belief in zip(self._models, self._members, before, strict=True)
        ]
