"""Baselines for idle endpoints: timeouts, histograms, ski rental, follow the leader, and hindsight."""

from collections.abc import Callable

import numpy as np

from gpuwise.backtest.contract import Decisions
from gpuwise.backtest.idle_between_uses.trace import COLUMNS, Floats, IdleTrace, decisions, finished_gaps
from gpuwise.research.idle_between_uses import Requests, idle_gaps

Waits = Callable[[Floats, float], Floats]
"""Maps the gaps of one endpoint and B to the wait in each gap; an online policy uses earlier gaps only."""

# KEDA's default cool-down.
_KEDA_S = 300.0
# "Serverless in the Wild" (Shahrad et al., ATC'20): one-minute bins over four hours; unloaded until 90 % of the 5th
# percentile, kept until 110 % of the 99th; longer gaps are not in the histogram.
_BIN_S, _RANGE_S = 60.0, 14_400.0
_SEED = 20_261_122
_GRID_S = np.append(0.0, np.geomspace(4, 60_000, 90))


def always_on(gap_s: Floats, _cost_s: float) -> Floats:
    """Never stop."""
    return np.full(len(gap_s), np.inf)


def keda(gap_s: Floats, _cost_s: float) -> Floats:
    """Stop after 300 s."""
    return np.full(len(gap_s), _KEDA_S)


def break_even(gap_s: Floats, cost_s: float) -> Floats:
    """Stop when the idle time has cost as much as a cold start: at most twice the optimum."""
    return np.full(len(gap_s), cost_s)


def randomised(gap_s: Floats, cost_s: float) -> Floats:
    """Draw the wait with density e^(t/B) / (B (e - 1)) on [0, B]: e/(e - 1) of the optimum in expectation."""
    drawn = np.random.default_rng(_SEED).random(len(gap_s))
    return np.asarray(cost_s * np.log1p(drawn * (np.e - 1)))


def follow_the_leader(gap_s: Floats, cost_s: float) -> Floats:
    """The wait that would have been best on the endpoint's gaps so far; B before the first gap."""
    past = np.cumsum(_costs(gap_s, cost_s), axis=0)
    return np.append(cost_s, _GRID_S[np.argmin(past[:-1], axis=1)])[: len(gap_s)]


def best_static(gap_s: Floats, cost_s: float) -> Floats:
    """The best constant wait for the endpoint in hindsight."""
    return np.full(len(gap_s), _GRID_S[np.argmin(_costs(gap_s, cost_s).sum(axis=0))])


def _costs(gap_s: Floats, cost_s: float) -> Floats:
    gaps = gap_s[:, None]
    return np.where(gaps <= _GRID_S, gaps, _GRID_S + cost_s)


def policy(waits: Waits) -> Callable[[IdleTrace], Decisions]:
    """A policy that decides for each endpoint separately."""

    def decide(trace: IdleTrace) -> Decisions:
        waited = {name: waits(finished_gaps(one), trace.cold_start_cost_s) for name, one in trace.fleet.items()}
        return decisions(trace, waited)

    return decide


def hybrid_histogram(trace: IdleTrace) -> Decisions:
    """Unload at once, load before the next request is expected, and keep until it is overdue."""
    rows = [(name, *times) for name, requests in trace.fleet.items() for times in _histogram_times(requests)]
    return Decisions(COLUMNS, rows)


def _histogram_times(requests: Requests) -> list[tuple[float, float]]:
    gaps, gap_s = idle_gaps(requests), finished_gaps(requests)
    next_s = requests.starts_s[gaps.request[:-1] + 1]
    times, from_s = [], float(requests.starts_s[0])
    for index, (since_s, arrives_s) in enumerate(zip(gaps.since_s[:-1].tolist(), next_s.tolist(), strict=True)):
        load_s, keep_s = _window(gap_s[:index])
        if load_s > 0:
            times.append((from_s, since_s))
            from_s = min(since_s + load_s, arrives_s)
        if since_s + keep_s < arrives_s:
            times.append((from_s, since_s + keep_s))
            from_s = arrives_s
    return [*times, (from_s, float(gaps.since_s[-1]))]


def _window(gap_s: Floats) -> tuple[float, float]:
    """When to load and how long to keep, seconds into the gap; four hours without earlier gaps."""
    within = gap_s[gap_s <= _RANGE_S]
    if not len(within):
        return 0.0, _RANGE_S
    bins = np.minimum(within, _RANGE_S - 1) // _BIN_S
    load = np.percentile(bins, 5, method="lower") * _BIN_S * 0.9
    keep = (np.percentile(bins, 99, method="higher") + 1) * _BIN_S * 1.1
    return float(load), float(keep)
