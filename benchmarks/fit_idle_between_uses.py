"""Fits the constants of `gpuwise.research.idle_between_uses`, with all endpoints and with some left out.

    python benchmarks/fit_idle_between_uses.py DATA

Writes that package's prior.py, fitted on all endpoints, and src/gpuwise/backtest/idle_between_uses/folds.npz, fitted
without each sixth of them: the backtest "idle" uses the latter. DATA is the folder of public traces; only the requests
of GenTD26 have endpoints that become idle.
"""

import argparse
import pprint
from pathlib import Path

import numpy as np
from scipy.special import expit

from gpuwise.backtest.folds import write_folds
from gpuwise.backtest.idle_between_uses.trace import load
from gpuwise.research.idle_between_uses import idle_gaps
from gpuwise.research.idle_between_uses.features import features
from gpuwise.research.idle_between_uses.hazard import EDGES_S, MIDDLES_S, Prior, knots, standardised
from gpuwise.research.idle_between_uses.policy import rhythms

KNOTS, LEVEL_KNOTS, RHYTHM_KNOTS = 5, 20, 4
# Ridge: a standardised coefficient of 0.14 costs as much as one nat, 1 / sqrt(50). The level is hardly penalised.
RIDGE, LEVEL_RIDGE = 50.0, 1.0
FOLDS = 6
HOME = Path(__file__).parents[1] / "src" / "gpuwise"


def fit(fleet, chosen):
    """Constants from some endpoints of a fleet, by Newton's method on the penalised likelihood."""
    starts_s = np.sort(np.concatenate([one.starts_s for one in fleet.values()]))
    parts = [described(fleet[name], starts_s) for name in chosen]
    x, own, fleet_rhythm, gap_s = (np.concatenate(part) for part in zip(*parts, strict=True))
    centre, scale = x.mean(axis=0), x.std(axis=0)
    bins = np.clip(np.searchsorted(EDGES_S, gap_s) - 1, 0, len(MIDDLES_S) - 1)
    row = np.repeat(np.arange(len(x)), bins + 1)
    at = np.concatenate([np.arange(last + 1) for last in bins])
    ended = ((at == bins[row]) & (gap_s[row] <= EDGES_S[-1])).astype(float)
    by_knot = standardised(x, centre, scale)[row][:, :, None] * knots(KNOTS).T[at][:, None, :]
    rhythm_knots = knots(RHYTHM_KNOTS).T[at]
    design = np.column_stack(
        [
            knots(LEVEL_KNOTS).T[at],
            by_knot.reshape(len(row), -1),
            own[row, at][:, None] * rhythm_knots,
            fleet_rhythm[row, at][:, None] * rhythm_knots,
        ]
    )
    found = newton(design, ended)
    level, rest = found[:LEVEL_KNOTS], found[LEVEL_KNOTS:]
    size = x.shape[1] * KNOTS
    return Prior(
        centre, scale, level, rest[:size].reshape(-1, KNOTS), rest[size : size + RHYTHM_KNOTS], rest[-RHYTHM_KNOTS:]
    )


def described(requests, fleet_starts_s):
    gaps = idle_gaps(requests)
    own, fleet = rhythms(requests.starts_s, fleet_starts_s, gaps.since_s)
    return features(requests, gaps)[:-1], own[:-1], fleet[:-1], gaps.gap_s[:-1]


def newton(design, ended):
    weights = np.zeros(design.shape[1])
    ridge = np.where(np.arange(len(weights)) < LEVEL_KNOTS, LEVEL_RIDGE, RIDGE)
    for _ in range(20):
        chance = expit(design @ weights)
        slope = design.T @ (ended - chance) - ridge * weights
        curve = (design * (chance * (1 - chance))[:, None]).T @ design + np.diag(ridge)
        step = np.linalg.solve(curve, slope)
        weights += step
        if np.abs(step).max() < 1e-6:
            return weights
    raise RuntimeError("Newton's method did not converge")


def folds(fleet):
    """Endpoints distributed to the folds from the most requests to the fewest, so that each fold has some of each."""
    ranked = sorted(fleet, key=lambda name: -len(fleet[name].starts_s))
    return [ranked[at::FOLDS] for at in range(FOLDS)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    given = parser.parse_args()
    trace = given.data / "genai_gentd26" / "lora_request_trace.csv.gz"
    fleet = load({"requests": trace, "cold_start_cost_s": 60.0}).fleet
    write(fit(fleet, fleet))
    kept = [(held, fit(fleet, [name for name in fleet if name not in held])) for held in folds(fleet)]
    write_folds(HOME / "backtest" / "idle_between_uses" / "folds.npz", kept)


def write(prior):
    fields = {name: np.array([float(f"{v:.4g}") for v in np.ravel(getattr(prior, name))]) for name in prior.__slots__}
    shaped = {name: values.reshape(np.shape(getattr(prior, name))).tolist() for name, values in fields.items()}
    body = ",\n".join(f"    {name}=np.array({pprint.pformat(values, width=110)})" for name, values in shaped.items())
    (HOME / "research" / "idle_between_uses" / "prior.py").write_text(
        '"""Constants of the hazard model, written by benchmarks/fit_idle_between_uses.py: change that file, '
        "not this one.\n\n"
        f"Fitted on all {trace_note()}\n"
        '"""\n\nimport numpy as np\n\nfrom gpuwise.research.idle_between_uses.hazard import Prior\n\n'
        f"PRIOR = Prior(\n{body},\n)\n",
        encoding="utf-8",
    )


def trace_note():
    return (
        "endpoints of GenTD26's request trace (Alibaba, lora_request_trace, 24 endpoints with at least 20\n"
        "requests, 8,115 gaps, 23 days), so figures on that trace are in sample. The backtest also replays endpoints "
        "that were\nleft out of the fit: a mean cost ratio of 1.358."
    )


if __name__ == "__main__":
    main()
