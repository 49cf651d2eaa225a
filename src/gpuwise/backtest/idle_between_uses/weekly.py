"""One constant wait per endpoint and week, chosen from samples of the request counters: what gpuwise emits.

The policy sees what a scraper of an inference server sees, such as vLLM's: a counter of answered requests and a gauge
of requests in flight, sampled at fixed times. The judge knows the times of the requests.
"""

import numpy as np

from gpuwise.backtest.contract import Decisions
from gpuwise.backtest.idle_between_uses.trace import Floats, IdleTrace, decisions
from gpuwise.model.gaps import RequestGaps
from gpuwise.recommend.engines.idle_between_uses.weekly import WEEK_S, weekly_wait
from gpuwise.research.idle_between_uses import Requests, idle_gaps

# Without --scrape-s the times of the requests are known to the second, as in the traces.
_EXACT_S = 1


def weekly_constant(trace: IdleTrace) -> Decisions:
    """The wait of each week from the samples of the weeks before it; weeks begin with the trace."""
    return decisions(trace, {name: _waits(one, trace) for name, one in trace.fleet.items()})


def _waits(requests: Requests, trace: IdleTrace) -> Floats:
    """The wait in each gap of an endpoint."""
    start_s, step_s = trace.start_s, trace.scrape_s or _EXACT_S
    gaps = sampled(requests, step_s=step_s, start_s=start_s)
    week = ((idle_gaps(requests).since_s - start_s) // WEEK_S).astype(np.int64)
    chosen = {one: weekly_wait(gaps.between(0, one * WEEK_S), trace.cold_start_cost_s) for one in set(week.tolist())}
    return np.array([chosen[one] for one in week.tolist()], dtype=np.float64)


def sampled(requests: Requests, *, step_s: int, start_s: float) -> RequestGaps:
    """The gaps that the samples show, in seconds since the first sample; each step ends with a sample.

    Args:
        requests: the endpoint's requests.
        step_s: time between two samples.
        start_s: time of the first sample.
    """
    # A request is counted as answered by the first sample after its end, and in flight by the samples before that.
    from_step = np.ceil((requests.starts_s - start_s) / step_s).astype(np.int64) - 1
    to_step = np.ceil((requests.ends_s - start_s) / step_s).astype(np.int64) - 1
    steps = int(to_step.max()) + 1
    changes = np.zeros(steps + 1, dtype=np.int64)
    np.add.at(changes, np.maximum(np.minimum(from_step, to_step), 0), 1)
    np.add.at(changes, np.maximum(to_step, 0) + 1, -1)
    used = np.cumsum(changes)[:-1] > 0
    since_first = np.maximum.accumulate(used)  # before it, the endpoint may not have existed
    return RequestGaps.of(since_first & ~used, since_first, start_s=0, step_s=step_s)
