"""Baselines for spot with a deadline: on-demand only, greedy, and Uniform Progress."""

from collections.abc import Callable

import numpy as np

from gpuwise.backtest.contract import Decisions
from gpuwise.backtest.interruptible_on_demand.trace import Choose, SpotTrace, replayed
from gpuwise.recommend.engines.interruptible_on_demand.job import Bools, Floats, Ints, Progress, Use


def on_demand(trace: SpotTrace) -> Decisions:
    """Launch on-demand at once and stay on it.

    Args:
        trace: the trace to replay.
    """
    everywhere = np.full(len(trace.windows), int(Use.ON_DEMAND))
    return replayed(trace, lambda _row, now: (everywhere, np.maximum(now.region, 0)))


def greedy(trace: SpotTrace) -> Decisions:
    """Use spot if available, else wait; switch to on-demand when the deadline requires it.

    Args:
        trace: the trace to replay.
    """

    def wish(_row: int, _now: Progress, any_spot: Bools) -> Ints:
        return np.where(any_spot, int(Use.SPOT), int(Use.NONE))

    return replayed(trace, _with_safety_net(trace, wish))


def uniform_progress(trace: SpotTrace) -> Decisions:
    """Follow a steady pace: on-demand if behind it and without spot, until two restarts ahead of it.

    It uses the cheapest region with spot and stays there while spot is available. Source: Wu et al., "Can't Be Late:
    Optimizing Spot Instance Savings under Deadlines", NSDI 2024, section 5.2.

    Args:
        trace: the trace to replay.
    """
    job = trace.job
    pace = job.work_s / job.deadline_s

    def wish(row: int, now: Progress, any_spot: Bools) -> Ints:
        done_s, now_s = job.work_s - now.left_s, row * job.step_s
        no_spot = np.where(done_s < now_s * pace, int(Use.ON_DEMAND), int(Use.NONE))
        behind = (now_s + 2 * job.restart_s) * pace - done_s >= 0
        stays = (now.use == Use.ON_DEMAND) & (~any_spot | behind)
        return np.where(stays, int(Use.ON_DEMAND), np.where(any_spot, int(Use.SPOT), no_spot))

    return replayed(trace, _with_safety_net(trace, wish))


def _with_safety_net(trace: SpotTrace, wish: Callable[[int, Progress, Bools], Ints]) -> Choose:
    """A policy that switches to on-demand while two restarts still fit, and from running spot only when it must."""
    job = trace.job

    def steps(seconds: Floats) -> Floats:
        return np.asarray(np.ceil(np.round(seconds / job.step_s, 9)))

    def choose(row: int, now: Progress) -> tuple[Ints, Ints]:
        spot = trace.available[:, row]
        here = np.maximum(now.region, 0)
        running = (now.use == Use.SPOT) & np.take_along_axis(spot, here[:, None], axis=1)[:, 0]
        cheapest = np.where(spot, trace.usd_h[:, row], np.inf).argmin(axis=1)
        use = wish(row, now, np.asarray(spot.any(axis=1)))
        rows_left = job.rows - row
        use = np.where(~running & (steps(now.left_s + 2 * job.restart_s) >= rows_left), int(Use.ON_DEMAND), use)
        last = steps(now.left_s + job.restart_s) >= rows_left
        warm = running & (now.pending_s <= 0)
        use = np.where(last, np.where(warm, int(Use.SPOT), int(Use.ON_DEMAND)), use)
        elsewhere = np.where(running, here, cheapest)
        stays = np.where(now.region >= 0, now.region, cheapest)
        return use, np.where(use == Use.SPOT, elsewhere, stays)

    return choose
