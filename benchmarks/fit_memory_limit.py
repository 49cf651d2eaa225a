"""Fits the constants of `gpuwise.research.memory_limit`, with all pods and with some left out.

    python benchmarks/fit_memory_limit.py DATA

Writes src/gpuwise/research/memory_limit/prior.py, fitted on all pods, and src/gpuwise/backtest/memory_limit/folds.npz,
fitted without each sixth of them, and also without one half of the time: the backtest "memory" uses the latter. DATA is
the folder of public traces; only GenTD26 has the memory of pods over time.

The cost of an overrun is chosen inside each fit, and only there: the pods of the fit are divided again, and the lowest
cost is taken with which overruns of pods left out of these inner fits are at the aim of `Budget`. There is no margin
for another fleet, because the policy follows the overruns of the fleet on which it is used. Without one half of the
time, the cost is that of the fit on all of it: a half has too few windows.
"""

import argparse
import pprint
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.special import expit

from gpuwise.backtest.folds import write_folds
from gpuwise.backtest.memory_limit.policies import in_half
from gpuwise.backtest.memory_limit.trace import load, scored, windows
from gpuwise.research.memory_limit import MemoryLimitSettings, memory_limits
from gpuwise.research.memory_limit.budget import Budget
from gpuwise.research.memory_limit.chance import Prior, candidates, features
from gpuwise.research.memory_limit.history import HOUR_S, known

# Times of one pod that are used for the fit: after 3 h, every 20 minutes. Neighbours share 40 of their 60 minutes, and
# about 30 candidates share one peak, so a row has the weight 0.2.
FIRST_S, EVERY_S, ROW_WEIGHT = 3 * HOUR_S, 1200.0, 0.2
RIDGE = 20.0
FOLDS, INNER_FOLDS = 6, 4
COSTS = np.arange(2.0, 6.01, 0.1)
HOME = Path(__file__).parents[1] / "src" / "gpuwise"


def rows_by_pod(fleet):
    """By pod: times, features of candidates, and whether the next hour exceeded them."""
    found = {}
    for name, usage in fleet.items():
        rows = []
        for now_s in np.arange(usage.t_s[0] + FIRST_S, usage.t_s[-1] - HOUR_S + 57, EVERY_S):
            ahead = usage.mib[slice(*np.searchsorted(usage.t_s, [now_s, now_s + HOUR_S]))]
            if len(ahead):
                pod = known(usage, now_s)
                limits = candidates(pod)
                rows.append((now_s, features(pod, limits), (ahead.max() > limits).astype(float)))
        if rows:
            found[name] = rows
    return found


def fit(rows, names, half=None):
    """Constants from the rows of some pods, by Newton's method on the penalised likelihood; the cost is left open."""
    chosen = [row for name in names for row in rows.get(name, []) if half is None or in_half(row[0], half)]
    x, over = (np.concatenate([row[column] for row in chosen]) for column in (1, 2))
    centre, scale = x.mean(axis=0), x.std(axis=0)
    design = np.column_stack([np.ones(len(x)), (x - centre) / scale])
    weights, ridge = np.zeros(design.shape[1]), np.append(0.0, np.full(x.shape[1], RIDGE))
    for _ in range(25):
        chance = expit(design @ weights)
        slope = ROW_WEIGHT * design.T @ (over - chance) - ridge * weights
        curve = (design * (ROW_WEIGHT * chance * (1 - chance))[:, None]).T @ design + np.diag(ridge)
        step = np.linalg.solve(curve, slope)
        weights += step
        if np.abs(step).max() < 1e-4:
            return Prior(centre, scale, weights[1:], float(weights[0]), np.nan)
    raise RuntimeError("Newton's method did not converge")


def with_cost(trace, rows, names):
    """Constants from some pods, with the cost from folds among these pods."""
    inner = [names[at::INNER_FOLDS] for at in range(INNER_FOLDS)]
    fitted = [(held, fit(rows, [one for one in names if one not in held])) for held in inner]
    for cost in COSTS:
        if overrun(trace, fitted, cost) <= Budget().aim:
            return replace(fit(rows, names), overrun_cost=round(float(cost), 1))
    raise RuntimeError("no cost keeps overruns below the goal")


def overrun(trace, fitted, cost):
    """Share of the windows of left-out pods that are overrun."""
    settings, due, over, many = MemoryLimitSettings(overrun_cost=float(cost)), windows(trace), 0.0, 0
    for held, prior in fitted:
        for name in held:
            if at_s := due.get(name):
                made = memory_limits(trace.fleet[name], at_s, settings, prior)
                over += scored(trace, name, at_s, made)[:, 1].sum()
                many += len(at_s)
    return over / many


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    given = parser.parse_args()
    path = given.data / "genai_gentd26" / "pod_gpu_57s.csv.gz"
    trace = load({"usage": path, "history_h": 6.0, "horizon_h": 1.0})
    rows = rows_by_pod(trace.fleet)
    names = sorted(trace.fleet, key=lambda name: -float(np.max(trace.fleet[name].mib)))
    folds = [names[at::FOLDS] for at in range(FOLDS)]
    kept = []
    for held in folds:
        others = [name for name in names if name not in held]
        prior = with_cost(trace, rows, others)
        kept.append((held, prior))
        for half in (0, 1):
            other_half = replace(fit(rows, others, 1 - half), overrun_cost=prior.overrun_cost)
            kept.append(([f"{name}@{half}" for name in held], other_half))
        print(prior.overrun_cost, flush=True)
    write_folds(HOME / "backtest" / "memory_limit" / "folds.npz", kept)
    write(with_cost(trace, rows, names))


def write(prior):
    short = {
        name: pprint.pformat([float(f"{v:.4g}") for v in getattr(prior, name)], width=108, compact=True)
        for name in ("centre", "scale", "weight")
    }
    body = "".join(f"    {name}=np.array({values}),\n" for name, values in short.items())
    (HOME / "research" / "memory_limit" / "prior.py").write_text(
        '"""Constants of the overrun model, written by benchmarks/fit_memory_limit.py: change that file, not this one.'
        "\n\n"
        "Fitted on all 72 pods of GenTD26's telemetry (Alibaba, pod_gpu_57s, 22.8 h), so figures on that trace are in "
        "sample. The\nbacktest also replays pods that were left out of the fit and of the choice of the cost.\n"
        '"""\n\nimport numpy as np\n\nfrom gpuwise.research.memory_limit.chance import Prior\n\n'
        f"PRIOR = Prior(\n{body}    level={prior.level:.4g},\n    overrun_cost={prior.overrun_cost:.4g},\n)\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
