"""Backtest `idle`: the cost of idle time and cold starts of endpoints, relative to the optimum in hindsight."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from gpuwise.backtest.bootstrap import ratio_of_sums
from gpuwise.backtest.contract import OURS, Backtest, Decisions, Figure, Option, Result, Trial, Verdict, at_most
from gpuwise.backtest.folds import read_folds
from gpuwise.backtest.idle_between_uses.baselines import (
    always_on,
    best_static,
    break_even,
    follow_the_leader,
    hybrid_histogram,
    keda,
    policy,
    randomised,
)
from gpuwise.backtest.idle_between_uses.trace import EndpointCost, Floats, IdleTrace, decisions, endpoint_costs, load
from gpuwise.backtest.idle_between_uses.weekly import weekly_constant
from gpuwise.model.usage import SCRAPE_S
from gpuwise.research.idle_between_uses import KeepAliveSettings, waits
from gpuwise.research.idle_between_uses.hazard import Prior
from gpuwise.research.idle_between_uses.prior import PRIOR

ENDPOINT_HELD_OUT = "gpuwise-endpoint-held-out"
WEEKLY, BREAK_EVEN = "weekly-constant", "break-even"

_COSTS_S = (60.0, 300.0, 900.0, 3600.0)


def _ours(trace: IdleTrace) -> Decisions:
    return decisions(trace, waits(trace.fleet, KeepAliveSettings(trace.cold_start_cost_s)))


def _held_out(trace: IdleTrace) -> Decisions:
    """Gpuwise's policy with constants fitted without the endpoint; for endpoints of other traces the shipped ones."""
    folds, settings = read_folds("idle_between_uses", Prior), KeepAliveSettings(trace.cold_start_cost_s)
    priors = {name: folds.get(name, PRIOR) for name in trace.fleet}
    distinct = {id(one): one for one in priors.values()}.values()
    by_prior = {id(one): waits(trace.fleet, settings, one) for one in distinct}
    return decisions(trace, {name: by_prior[id(prior)][name] for name, prior in priors.items()})


def _judge(trace: IdleTrace, made: Decisions) -> Mapping[str, Figure]:
    costs = list(endpoint_costs(trace, made).values())
    paid = _paid(costs, trace)
    optimum = np.array([one.optimum_s for one in costs])
    some = optimum > 0
    figures = {
        "cost_ratio": ratio_of_sums(paid, optimum),
        "worst_endpoint": Figure(float(np.max(paid[some] / optimum[some])) if some.any() else np.nan),
        "idle_gpu_h": Figure(sum(one.idle_s for one in costs) / 3600),
        "starts": Figure(float(sum(one.starts for one in costs))),
    }
    if trace.scrape_s is None or not some.any():
        return figures
    over = paid[some] / _paid(list(endpoint_costs(trace, policy(break_even)(trace)).values()), trace)[some]
    # Waits are whole seconds: an endpoint with the wait B costs the same up to rounding.
    above = float(np.count_nonzero(over > 1 + 1e-9))
    return figures | {"above_break_even": Figure(above), "worst_over_break_even": Figure(float(over.max()))}


def _paid(costs: Sequence[EndpointCost], trace: IdleTrace) -> Floats:
    return np.array([one.idle_s + trace.cold_start_cost_s * one.starts for one in costs])


def _trials(data: Path) -> list[Trial]:
    requests = data / "genai_gentd26" / "lora_request_trace.csv.gz"
    exact = [
        Trial(f"GenTD26, B={cost_s:g} s", {"requests": requests, "cold_start_cost_s": cost_s}) for cost_s in _COSTS_S
    ]
    sampled = [
        Trial(f"{one.label}, counters every {SCRAPE_S} s, from week 2", {**one.given, "scrape_s": SCRAPE_S})
        for one in exact
    ]
    return exact + sampled


def _goals(results: Sequence[Result]) -> list[Verdict]:
    sampled = [one for one in results if "above_break_even" in one.played[WEEKLY].figures]
    exact = [one for one in results if one not in sampled]
    mean = float(np.mean([result.value("cost_ratio", ENDPOINT_HELD_OUT) for result in exact]))
    worst = max(result.value("worst_endpoint", name) for result in exact for name in (OURS, ENDPOINT_HELD_OUT))
    weekly = float(np.mean([result.value("cost_ratio", WEEKLY) for result in sampled]))
    above = max(result.value("above_break_even", WEEKLY) for result in sampled)
    over = max(result.value("worst_over_break_even", WEEKLY) for result in sampled)
    return [
        at_most("mean cost ratio, endpoints not fitted on", mean, 1.36),
        at_most("cost ratio of any endpoint", worst, 2.5),
        at_most("mean cost ratio of weekly constants, from counters", weekly, 1.45),
        at_most("endpoints for which a weekly constant costs more than break-even, any B", above, 2),
        at_most("cost of a weekly constant over break-even's, any endpoint and B", over, 1.1),
    ]


IDLE: Backtest[IdleTrace] = Backtest(
    name="idle",
    about="Cost of idle time and cold starts of endpoints that are stopped when unused, relative to the optimum.",
    options=(
        Option("--requests", "CSV with endpoint, t_s, duration_s, or GenTD26's own columns."),
        Option("--cold-start-cost-s", "Cost of one cold start in seconds of an idle GPU.", kind=float),
        Option(
            "--scrape-s",
            f"Let {WEEKLY} see counters sampled this often, and judge from the second week on.",
            kind=int,
            optional=True,
        ),
    ),
    load=load,
    policies={
        OURS: _ours,
        ENDPOINT_HELD_OUT: _held_out,
        WEEKLY: weekly_constant,
        "always-on": policy(always_on),
        "keda-300s": policy(keda),
        "hybrid-histogram": hybrid_histogram,
        BREAK_EVEN: policy(break_even),
        "randomised": policy(randomised),
        "follow-the-leader": policy(follow_the_leader),
        "best-static": policy(best_static),
    },
    judge=_judge,
    trials=_trials,
    goals=_goals,
    bound=lambda _trace: {"cost_ratio": 1.0},
)
