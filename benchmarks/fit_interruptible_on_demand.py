"""Fits the prior of spot availability: `python -m benchmarks.fit_interruptible_on_demand FOLDER_OF_PUBLIC_TRACES`.

Writes `recommend/engines/interruptible_on_demand/prior.py`, fitted on all 99 windows of spot_windows, and
`backtest/interruptible_on_demand/folds.npz`, fitted without one zone, without one area, and (for several regions)
without one half of the windows: the cross-validated figures of the backtests use these. About ten minutes on one core.

Expectation maximisation for a hidden Markov process in continuous time: the E step is Baum and Welch's (Rabiner 1989)
on the steps of the trace; the expected number of jumps and the time in a state between two rows are one integral of
matrix exponentials (Van Loan 1978), so that the rates do not depend on the step. Nothing else was tuned.
"""

import csv
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.linalg import expm

from gpuwise.backtest.columns import read_columns
from gpuwise.backtest.folds import write_folds
from gpuwise.recommend.engines.interruptible_on_demand.availability import AvailabilityModel, joined

STEP_S = 600.0
UP_STATES, UNION_STATES = 6, 3
ROUNDS, UNION_ROUNDS = 150, 100
SEEDS = (1, 2, 3)  # three starts, combined: a single one gives 3.68 to 3.79 % by zone, the three together 3.61
UNION_SIZES, UNION_DRAWS = (5, 6), 4

_PREAMBLE = '''\
"""The prior of spot availability, written by benchmarks/fit_interruptible_on_demand.py: change that file, not this one.

Fitted on all 99 windows of the public trace spot_windows: one V100 in nine AWS zones of us-east-1, us-east-2 and
us-west-2, 2023-02-15 to 2023-04-02 (github andylizf/skynomad-artifact, Apache-2.0). Rates are per hour.
"""

from typing import Final

Fitted = tuple[tuple[tuple[float, ...], ...], tuple[float, ...]]
"""Transition rates, with spot available in the first half of the states, and the start probability of each state."""
'''

_SOURCE = Path(__file__).parents[1] / "src" / "gpuwise"


def fit(seen: np.ndarray, *, states: int, rounds: int, seed: int) -> AvailabilityModel:
    """A model with that many states with and without spot, fitted to rows every STEP_S, shape (series, rows)."""
    model = _start(states, np.random.default_rng(seed))
    step_h = STEP_S / 3600
    for _ in range(rounds):
        moved = expm(model.rate_h * step_h)
        pairs, first = _expected(moved, model, seen)
        count = len(first)
        block = np.zeros((2 * count, 2 * count))
        block[:count, :count] = block[count:, count:] = model.rate_h.T
        block[:count, count:] = np.divide(pairs, moved, out=np.zeros_like(pairs), where=moved > 1e-300)
        integral = expm(block * step_h)[:count, count:]
        rate_h = model.rate_h * integral / np.diag(integral)[:, None]
        np.fill_diagonal(rate_h, 0.0)
        np.fill_diagonal(rate_h, -rate_h.sum(axis=1))
        model = AvailabilityModel(rate_h, model.up, first / first.sum())
    return model


def _start(states: int, rng: np.random.Generator) -> AvailabilityModel:
    """A random start: states that last from 20 minutes to 40 hours, with transitions between all of them."""
    count = 2 * states
    life_h = np.tile(np.geomspace(0.3, 40.0, states), 2) * rng.uniform(0.7, 1.4, count)
    rate_h = rng.dirichlet(np.ones(count), size=count)
    np.fill_diagonal(rate_h, 0.0)
    rate_h /= rate_h.sum(axis=1, keepdims=True) * life_h[:, None]
    np.fill_diagonal(rate_h, -rate_h.sum(axis=1))
    return AvailabilityModel(rate_h, np.arange(count) < states, np.full(count, 1 / count))


def _expected(moved: np.ndarray, model: AvailabilityModel, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Expected transitions from state to state, and expected first states, given the observations."""
    series, rows = seen.shape
    fits = np.stack([~model.up, model.up]).astype(float)
    ahead, scale = np.empty((rows, series, len(model.up))), np.empty((rows, series, 1))
    belief = model.start
    for row in range(rows):
        both = belief * fits[seen[:, row]]
        scale[row] = both.sum(axis=1, keepdims=True)
        ahead[row] = both / scale[row]
        belief = ahead[row] @ moved
    back, pairs = np.ones_like(ahead[0]), np.zeros_like(moved)
    for row in range(rows - 2, -1, -1):
        later = back * fits[seen[:, row + 1]] / scale[row + 1]
        pairs += ahead[row].T @ later
        back = later @ moved.T
    return pairs * moved, (ahead[0] * back).sum(axis=0) + 1e-3


def zone_model(seen: np.ndarray) -> list[AvailabilityModel]:
    """The model of one region: a fit from each of several starts."""
    return [fit(seen, states=UP_STATES, rounds=ROUNDS, seed=seed) for seed in SEEDS]


def union_model(windows: np.ndarray) -> AvailabilityModel:
    """The model of whether any of five or six regions has spot; windows of shape (windows, rows, zones)."""
    rng = np.random.default_rng(1)
    drawn = [rng.choice(windows.shape[2], size, replace=False) for size in UNION_SIZES for _ in range(UNION_DRAWS)]
    unions = np.concatenate([windows[:, :, zones].max(axis=2) for zones in drawn])
    return fit(unions, states=UNION_STATES, rounds=UNION_ROUNDS, seed=1)


def main(folder: Path) -> None:
    seen, zones = _read(folder / "spot_windows")
    areas = np.array([zone[:-1] for zone in zones])
    names = list(dict.fromkeys(zones))
    windows = np.stack([seen[zones == name] for name in names], axis=2)
    half = windows.shape[0] // 2
    _write_prior({"ZONE": zone_model(seen), "UNION": [union_model(windows)]})
    folds = [
        ([f"{kind}/{group}"], joined(zone_model(seen[groups != group])))
        for kind, groups in (("zone", zones), ("area", areas))
        for group in dict.fromkeys(groups)
    ]
    for kept, part in (("first", windows[half:]), ("second", windows[:half])):
        flat = part.transpose(2, 0, 1).reshape(-1, part.shape[1])
        one = fit(flat, states=UP_STATES, rounds=ROUNDS, seed=SEEDS[0])
        folds += [([f"half/{kept}"], one), ([f"union/{kept}"], union_model(part))]
    write_folds(_SOURCE / "backtest" / "interruptible_on_demand" / "folds.npz", folds)


def _read(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Rows by window, and the zone of each window."""
    rows = read_columns(folder / "windows.csv.gz", {"window": int, "t_s": float, "available": int})
    with (folder / "index.csv").open() as file:
        zones = np.array([row["zone"] for row in csv.DictReader(file)])
    return rows["available"].reshape(len(zones), -1), zones


def _write_prior(models: dict[str, Sequence[AvailabilityModel]]) -> None:
    text = [_PREAMBLE]
    for name, of in models.items():
        text.append(f"\n{name}: Final[tuple[Fitted, ...]] = (\n")
        for model in of:
            rows = "\n".join(f"            ({_numbers(row)})," for row in model.rate_h)
            text.append(f"    (\n        (\n{rows}\n        ),\n        ({_numbers(model.start)}),\n    ),\n")
        text.append(")\n")
    prior = _SOURCE / "recommend" / "engines" / "interruptible_on_demand" / "prior.py"
    prior.write_text("".join(text))
    subprocess.run([sys.executable, "-m", "ruff", "format", "--quiet", str(prior)], check=True)


def _numbers(row: np.ndarray) -> str:
    return ", ".join(f"{0.0 if abs(one) < 1e-6 else one:.4g}" for one in row)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
