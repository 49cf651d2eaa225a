"""Fits the constants of `gpuwise.research.memory_limit`, with all pods and with some left out.

    python benchmarks/fit_memory_limit.py DATA

Writes src/gpuwise/research/memory_limit/prior.py, fitted on all pods, and src/gpuwise/backtest/memory_limit/folds.npz,
fitted without each sixth of them: the backtest "memory" uses the latter. DATA is the folder of public traces; only
GenTD26 has the memory of pods over time.
"""

import argparse
import pprint
from pathlib import Path

import numpy as np
from scipy.special import expit

from gpuwise.backtest.folds import write_folds
from gpuwise.backtest.memory_limit.trace import load
from gpuwise.research.memory_limit.chance import Prior, candidates, features
from gpuwise.research.memory_limit.history import HOUR_S, known

# Times of one pod that are used for the fit: after 3 h, every 20 minutes. Neighbours share 40 of their 60 minutes, and
# about 30 candidates share one peak, so a row has the weight 0.2.
FIRST_S, EVERY_S, ROW_WEIGHT = 3 * HOUR_S, 1200.0, 0.2
RIDGE = 4.0
FOLDS = 6
HOME = Path(__file__).parents[1] / "src" / "gpuwise"


def rows_by_pod(fleet):
    """Features of candidates, and whether the next hour exceeded them, by pod."""
    found = {}
    for name, usage in fleet.items():
        xs, ys = [], []
        for now_s in np.arange(usage.t_s[0] + FIRST_S, usage.t_s[-1] - HOUR_S + 57, EVERY_S):
            ahead = usage.mib[slice(*np.searchsorted(usage.t_s, [now_s, now_s + HOUR_S]))]
            if len(ahead):
                pod = known(usage, now_s)
                limits = candidates(pod)
                xs.append(features(pod, limits))
                ys.append(ahead.max() > limits)
        if xs:
            found[name] = np.concatenate(xs), np.concatenate(ys).astype(float)
    return found


def fit(rows, names):
    """Constants from the rows of some pods, by Newton's method on the penalised likelihood."""
    x = np.concatenate([rows[name][0] for name in names if name in rows])
    over = np.concatenate([rows[name][1] for name in names if name in rows])
    centre, scale = x.mean(axis=0), x.std(axis=0)
    design = np.column_stack([np.ones(len(x)), (x - centre) / scale])
    weights, ridge = np.zeros(design.shape[1]), np.append(0.0, np.full(x.shape[1], RIDGE))
    for _ in range(25):
        chance = expit(design @ weights)
        slope = ROW_WEIGHT * design.T @ (over - chance) - ridge * weights
        curve = (design * (ROW_WEIGHT * chance * (1 - chance))[:, None]).T @ design + np.diag(ridge)
        step = np.linalg.solve(curve, slope)
        weights += step
        if np.abs(step).max() < 1e-5:
            return Prior(centre, scale, weights[1:], float(weights[0]))
    raise RuntimeError("Newton's method did not converge")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    given = parser.parse_args()
    path = given.data / "genai_gentd26" / "pod_gpu_57s.csv.gz"
    fleet = load({"usage": path, "history_h": 6.0, "horizon_h": 1.0}).fleet
    rows = rows_by_pod(fleet)
    write(fit(rows, list(fleet)))
    names = sorted(fleet, key=lambda name: -float(np.max(fleet[name].mib)))
    folds = [names[at::FOLDS] for at in range(FOLDS)]
    kept = [(held, fit(rows, [name for name in names if name not in held])) for held in folds]
    write_folds(HOME / "backtest" / "memory_limit" / "folds.npz", kept)


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
        "sample. The\nbacktest also replays pods that were left out of the fit: 31.9 % slack, 2.4 % overrun.\n"
        '"""\n\nimport numpy as np\n\nfrom gpuwise.research.memory_limit.chance import Prior\n\n'
        f"PRIOR = Prior(\n{body}    level={prior.level:.4g},\n)\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
