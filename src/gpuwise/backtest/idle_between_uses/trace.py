"""Request traces, warm times decided on them, and the cost of these."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuwise.backtest.columns import Columns, names_columns, read_columns
from gpuwise.backtest.contract import Decisions
from gpuwise.model.errors import InputError
from gpuwise.recommend.engines.idle_between_uses.weekly import WEEK_S
from gpuwise.research.idle_between_uses import Requests, idle_gaps

Floats = NDArray[np.float64]

# An endpoint with fewer requests cannot show how well a policy learns.
_LEAST_REQUESTS = 20

COLUMNS = ("endpoint", "warm_from_s", "warm_to_s")


@dataclass(frozen=True, slots=True)
class IdleTrace:
    """Requests by endpoint, and the cost of a cold start.

    Attributes:
        fleet: endpoints with at least 20 requests.
        cold_start_cost_s: B, idle-GPU-seconds.
        scrape_s: time between two samples of the request counters, None if each request's times are known. With
            samples, the first week is for learning and is not judged.
    """

    fleet: Mapping[str, Requests]
    cold_start_cost_s: float
    scrape_s: int | None = None

    @property
    def start_s(self) -> float:
        """When the first request arrived."""
        return min(float(requests.starts_s[0]) for requests in self.fleet.values())

    @property
    def judged_from_s(self) -> float:
        """Gaps that begin before this are not judged."""
        return -np.inf if self.scrape_s is None else self.start_s + WEEK_S


@dataclass(frozen=True, slots=True)
class EndpointCost:
    """The cost of one endpoint over its gaps.

    Attributes:
        idle_s: seconds kept warm in gaps.
        starts: cold starts and pre-warm starts.
        optimum_s: sum of min(gap, B).
    """

    idle_s: float
    starts: int
    optimum_s: float


def load(given: Mapping[str, Any]) -> IdleTrace:
    """Read a trace of requests with the contract's columns or GenTD26's own.

    Args:
        given: "requests" and "cold_start_cost_s", perhaps "scrape_s".

    Raises:
        InputError: the trace is invalid, a duration is negative, no endpoint has enough requests, B is not positive, or
            the samples are less than a second apart.
    """
    path, cost_s, scrape_s = given["requests"], given["cold_start_cost_s"], given.get("scrape_s")
    if scrape_s is not None and scrape_s < 1:
        raise InputError(f"--scrape-s is {scrape_s}", hint="give a whole number of seconds, 1 or more, such as 30")
    if cost_s is None or not (0 < cost_s < np.inf):
        given_s = "missing" if cost_s is None else f"{cost_s:g}"
        raise InputError(f"--cold-start-cost-s is {given_s}", hint="give a positive number of seconds")
    columns = _columns(path)
    negative = columns["duration_s"] < 0
    if negative.any():
        line = int(np.argmax(negative)) + 2
        raise InputError(f"{path}, line {line}: duration_s is below 0", hint="give seconds, 0 or more")
    fleet = _by_endpoint(columns)
    if not fleet:
        raise InputError(f"{path}: no endpoint has {_LEAST_REQUESTS} requests", hint="give a longer trace")
    return IdleTrace(fleet, cost_s, scrape_s)


def _columns(path: Path) -> Columns:
    published = {"gmt_create": str, "exec_time_seconds": float, "checkpoint_model_version_id": str}
    if not names_columns(path, published):
        return read_columns(path, {"endpoint": str, "t_s": float, "duration_s": float})
    found = read_columns(path, published)
    return {
        "endpoint": found["checkpoint_model_version_id"],
        "t_s": _seconds(path, found["gmt_create"]),
        "duration_s": found["exec_time_seconds"],
    }


def _seconds(path: Path, cells: NDArray[Any]) -> Floats:
    """Convert times such as "2024-11-15 20:47:12" to seconds since the first."""
    try:
        times = cells.astype("datetime64[s]")
    except ValueError as error:
        raise InputError(f"{path}: gmt_create: {error}", hint="write times as 2024-11-15 20:47:12") from error
    return np.asarray((times - times.min()).astype(np.float64))


def _by_endpoint(columns: Columns) -> dict[str, Requests]:
    order = np.lexsort((columns["t_s"], columns["endpoint"].astype(str)))
    names, starts_s = columns["endpoint"][order].astype(str), columns["t_s"][order]
    ends_s = starts_s + columns["duration_s"][order]
    found, first = np.unique(names, return_index=True)
    pieces = zip(found.tolist(), np.split(starts_s, first[1:]), np.split(ends_s, first[1:]), strict=True)
    return {name: Requests(start, end) for name, start, end in pieces if len(start) >= _LEAST_REQUESTS}


def finished_gaps(requests: Requests) -> Floats:
    """How long each gap between an endpoint's requests lasted, in order."""
    return idle_gaps(requests).gap_s[:-1]


def decisions(trace: IdleTrace, waits: Mapping[str, Floats]) -> Decisions:
    """Warm times of endpoints that stop some seconds after they become idle and start with the next request.

    Args:
        trace: the trace.
        waits: by endpoint, a wait for each gap; a wait after the last request is ignored.
    """
    rows: list[tuple[str, float, float]] = []
    for name, requests in trace.fleet.items():
        gaps = idle_gaps(requests)
        wait_s = waits[name][: len(gaps.gap_s) - 1]
        cold = np.flatnonzero(gaps.gap_s[:-1] > wait_s)
        from_s = requests.starts_s[np.append(0, gaps.request[cold] + 1)]
        to_s = np.append(gaps.since_s[cold] + wait_s[cold], gaps.since_s[-1])
        rows += [(name, begin, end) for begin, end in zip(from_s.tolist(), to_s.tolist(), strict=True)]
    return Decisions(COLUMNS, rows)


def endpoint_costs(trace: IdleTrace, made: Decisions) -> dict[str, EndpointCost]:
    """The cost of decisions by endpoint, from trace and decisions alone.

    Raises:
        InputError: an endpoint is unknown or missing, its warm times overlap, or it is cold while it serves.
    """
    warm: dict[str, list[tuple[float, float]]] = {name: [] for name in trace.fleet}
    for name, from_s, to_s in made.rows:
        if name not in warm:
            raise InputError(f"decisions: endpoint {name} is not in the trace", hint="decide on its endpoints only")
        warm[name].append((float(from_s), float(to_s)))
    return {
        name: _cost(name, requests, np.array(sorted(warm[name])).reshape(-1, 2), trace)
        for name, requests in trace.fleet.items()
    }


def _cost(name: str, requests: Requests, warm: Floats, trace: IdleTrace) -> EndpointCost:
    gaps = idle_gaps(requests)
    from_s, to_s = warm.T
    if (to_s < from_s).any() or (from_s[1:] < to_s[:-1]).any():
        raise InputError(f"decisions: warm times of {name} overlap or end before they begin", hint="merge or sort them")
    busy_from_s, busy_to_s = requests.starts_s[np.append(0, gaps.request[:-1] + 1)], gaps.since_s
    serving = np.searchsorted(from_s, busy_from_s, side="right") - 1
    if (serving < 0).any() or (to_s[serving] < busy_to_s).any():
        raise InputError(
            f"decisions: {name} is cold while it serves", hint="keep it warm until all requests are answered"
        )
    idle_s = _warm_until(busy_from_s[1:], from_s, to_s) - _warm_until(busy_to_s[:-1], from_s, to_s)
    judged = gaps.since_s[:-1] >= trace.judged_from_s
    optimum_s = float(np.minimum(gaps.gap_s[:-1], trace.cold_start_cost_s)[judged].sum())
    return EndpointCost(float(idle_s[judged].sum()), int(np.diff(serving)[judged].sum()), optimum_s)


def _warm_until(at_s: Floats, from_s: Floats, to_s: Floats) -> Floats:
    """Warm seconds before given times, none of which is before the first warm time."""
    last = np.searchsorted(from_s, at_s, side="right") - 1
    before_s = np.append(0.0, np.cumsum(to_s - from_s))[last]
    return np.asarray(before_s + np.minimum(at_s, to_s[last]) - from_s[last])
