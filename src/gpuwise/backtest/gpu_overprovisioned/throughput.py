"""Backtest `slice`: predicts a model's throughput on MIG slices, from its rates on the whole GPU and other models."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuwise.backtest.bootstrap import ratio_of_sums
from gpuwise.backtest.columns import read_columns
from gpuwise.backtest.contract import OURS, Backtest, Decisions, Figure, Option, Result, Trial, Verdict, at_most
from gpuwise.model.errors import InputError
from gpuwise.research.gpu_overprovisioned import WHOLE_GPCS, Throughputs, predict_slices

EACH, FAMILIES = "each", "each-family"

Predict = Callable[[Throughputs, Throughputs, int], NDArray[np.float64]]
"""Predicts rates per process on slices of one size for each row of the second argument, from other models' rows."""


@dataclass(frozen=True, slots=True)
class SliceTrace:
    """A table of measured rates and the models that are held out.

    Attributes:
        table: all rows.
        held_out: sets of models that are predicted without the slice rows of any model in the set.
    """

    table: Throughputs
    held_out: tuple[frozenset[str], ...]


def _load(given: Mapping[str, Any]) -> SliceTrace:
    path = given["throughput"]
    whole_numbers = {"mig_gpcs": int, "batch_size": int, "mps_procs": int}
    found = read_columns(path, {"model": str, **whole_numbers, "throughput_ips": float})
    names = ("model", "mig_gpcs", "batch_size", "mps_procs", "throughput_ips")
    table = Throughputs(*(found[name] for name in names))
    if (table.ips < 0).any():
        raise InputError(f"{path}: throughput_ips is below 0 in a row", hint="write 0 if it did not run")
    if not (table.gpcs == WHOLE_GPCS).any():
        raise InputError(f"{path} has no row of a whole GPU", hint=f"give rows with mig_gpcs {WHOLE_GPCS}")
    return SliceTrace(table, _held_out(given["held_out"], list(dict.fromkeys(table.model)), path))


def _held_out(wanted: str, models: Sequence[str], path: Path) -> tuple[frozenset[str], ...]:
    if wanted == EACH:
        return tuple(frozenset([model]) for model in models)
    if wanted == FAMILIES:
        families = dict.fromkeys(map(_family, models))
        return tuple(frozenset(model for model in models if _family(model) == family) for family in families)
    named = frozenset(wanted.split(","))
    if not named <= set(models):
        unknown = ", ".join(sorted(named - set(models)))
        raise InputError(f"--held-out: {unknown} is not in {path}", hint=f"name one of {', '.join(models)}")
    return (named,)


def _family(model: str) -> str:
    """The name up to its size: resnet of resnet50, densenet of densenet121."""
    return re.sub(r"\d.*$", "", model)


def _policy(predict: Predict) -> Callable[[SliceTrace], Decisions]:
    """Predict every slice row of the held-out models, from their whole-GPU rows and other models' rows only."""

    def decide(trace: SliceTrace) -> Decisions:
        rows: list[tuple[Any, ...]] = []
        for out in trace.held_out:
            hidden = np.array([model in out for model in trace.table.model])
            known = trace.table.rows(~hidden)
            for model in sorted(out):
                own = trace.table.rows(trace.table.model == model)
                rows += _predicted(predict, known, own)
        return Decisions(("model", "mig_gpcs", "batch_size", "mps_procs", "predicted_ips"), rows)

    return decide


def _predicted(predict: Predict, known: Throughputs, own: Throughputs) -> list[tuple[Any, ...]]:
    whole = own.rows(own.gpcs == WHOLE_GPCS)
    rows = []
    for gpcs in sorted(set(known.gpcs.tolist()) - {WHOLE_GPCS}):
        rates = predict(known, whole, gpcs)
        keys = zip(whole.model, whole.batch, whole.processes, rates, strict=True)
        rows += [(model, gpcs, int(batch), int(count), float(rate)) for model, batch, count, rate in keys]
    return rows


def _linear(_known: Throughputs, whole: Throughputs, gpcs: int) -> NDArray[np.float64]:
    """Throughput in proportion to the compute slices."""
    return np.asarray(whole.ips * (gpcs / WHOLE_GPCS))


def _capped(_known: Throughputs, whole: Throughputs, gpcs: int) -> NDArray[np.float64]:
    """No loss until the slice is full, then a share of the whole GPU's peak (ParvaGPU's medians)."""
    share = {1: 1 / 7, 2: 2 / 7, 3: 0.48, 4: 0.58}[gpcs]
    total = whole.ips * whole.processes
    used = np.divide(total, total.max(), out=np.ones_like(total), where=total > 0)
    return np.asarray(whole.ips * np.minimum(1.0, share / used))


def _median(known: Throughputs, whole: Throughputs, gpcs: int) -> NDArray[np.float64]:
    """The median slice-to-whole ratio over all configurations of the other models."""
    return np.asarray(whole.ips * float(np.median(list(_ratios(known, gpcs).values()))))


def _median_alike(known: Throughputs, whole: Throughputs, gpcs: int) -> NDArray[np.float64]:
    """The median over the other models at the same batch size and processes."""
    ratios = _ratios(known, gpcs)
    every = float(np.median(list(ratios.values())))
    alike: dict[tuple[int, int], list[float]] = {}
    for (_, batch, count), ratio in ratios.items():
        alike.setdefault((batch, count), []).append(ratio)
    keys = zip(whole.batch.tolist(), whole.processes.tolist(), strict=True)
    return np.asarray(whole.ips * np.array([float(np.median(alike.get(key, [every]))) for key in keys]))


def _ratios(known: Throughputs, gpcs: int) -> dict[tuple[str, int, int], float]:
    rates = _rates(known)
    return {
        (model, batch, count): ips / rates[model, WHOLE_GPCS, batch, count]
        for (model, size, batch, count), ips in rates.items()
        if size == gpcs and (model, WHOLE_GPCS, batch, count) in rates
    }


def _rates(table: Throughputs) -> dict[tuple[str, int, int, int], float]:
    """Rates by configuration, of those that ran."""
    columns = (table.model, table.gpcs.tolist(), table.batch.tolist(), table.processes.tolist(), table.ips.tolist())
    return {(model, *key): ips for model, *key, ips in zip(*columns, strict=True) if ips > 0}


def _judge(trace: SliceTrace, decisions: Decisions) -> dict[str, Figure]:
    predicted = {tuple(row[:4]): float(row[4]) for row in decisions.rows}
    errors: dict[str, list[float]] = {}
    for (model, *key), ips in _rates(trace.table).items():
        if key[0] != WHOLE_GPCS and any(model in out for out in trace.held_out):
            if (model, *key) not in predicted:
                raise InputError(f"no decision for {model} at {key}", hint="decide every slice row of the table")
            errors.setdefault(model, []).append(abs(predicted[model, *key] / ips - 1))
    sums, counts = np.array([sum(e) for e in errors.values()]), np.array([float(len(e)) for e in errors.values()])
    return {"mape": ratio_of_sums(sums, counts)}


def _trials(data: Path) -> list[Trial]:
    throughput = data / "mig_profiles" / "parvagpu_a100_80gb_inference.csv.gz"
    return [
        Trial("ParvaGPU, each model in turn", {"throughput": throughput, "held_out": EACH}),
        Trial("ParvaGPU, each family in turn", {"throughput": throughput, "held_out": FAMILIES}),
    ]


def _goals(results: Sequence[Result]) -> list[Verdict]:
    model, family = results
    return [
        at_most("mean absolute error, a model held out", model.value("mape"), 0.10),
        at_most("mean absolute error, its family held out", family.value("mape"), 0.13),
    ]


SLICE: Backtest[SliceTrace] = Backtest(
    name="slice",
    about="Error of the throughput predicted for MIG slices from a model's whole-GPU rows and from other models.",
    options=(
        Option("--throughput", "CSV with model, mig_gpcs, batch_size, mps_procs, throughput_ips (per process)."),
        Option("--held-out", f"A model, several by commas, {EACH} or {FAMILIES} in turn.", kind=str, default=EACH),
    ),
    load=_load,
    policies={
        OURS: _policy(predict_slices),
        "capped": _policy(_capped),
        "linear": _policy(_linear),
        "median": _policy(_median),
        "median-alike": _policy(_median_alike),
    },
    judge=_judge,
    trials=_trials,
    goals=_goals,
    bound=lambda _trace: {"mape": 0.0},
)
