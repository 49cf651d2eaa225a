"""Backtest `packing`: the share of the fleet's GPUs that is allocated when arriving pods no longer fit."""

from collections.abc import Sequence
from pathlib import Path

from gpuwise.backtest.contract import (
    OURS,
    Backtest,
    Decisions,
    Figure,
    Result,
    Trial,
    Verdict,
    at_least,
    at_most,
)
from gpuwise.backtest.placement import baselines as packing_baselines
from gpuwise.backtest.placement.trace import OPTIONS, OpenbTrace, arrived, load_openb, place_of
from gpuwise.model.errors import InputError
from gpuwise.research.placement.policy import Placer

_HEADLINE = "gpu_allocation_percent"
_GOALS = {"default": 96.3, "gpushare100": 88.6, "multigpu50": 97.9}
_VARIANTS = (*_GOALS, "gpuspec33")


def _ours(trace: OpenbTrace) -> Decisions:
    return arrived(trace, Placer(trace.empty.copy()).place)


def _judge(trace: OpenbTrace, decisions: Decisions) -> dict[str, Figure]:
    """Compute the allocation; a pod on a node where it does not fit, or left out although it fits, is an error."""
    if [row[0] for row in decisions.rows] != list(trace.pod_names):
        raise InputError(
            "the decisions do not have one row per pod in the order of arrival", hint="give each pod its row, in order"
        )
    left, refused = trace.empty.copy(), 0
    for pod, (name, node, gpus) in zip(trace.pods, decisions.rows, strict=True):
        at = place_of(trace, node, gpus or "")
        if at is None:
            refused += 1
            if left.fit(pod).any():
                raise InputError(f"{name} is left out although it fits on a node", hint="place each pod that fits")
        elif not left.takes(pod, at):
            raise InputError(f"{name} does not fit on {node}, GPUs {gpus!r}", hint="place it where it fits")
        else:
            left.take(pod, at)
    allocated = 1 - int(left.gpu.sum()) / trace.gpu_milli
    return {_HEADLINE: Figure(100 * allocated), "pods_left_out": Figure(float(refused))}


def _trials(data: Path) -> list[Trial]:
    folder = data / "openb_arrivals"
    return [
        Trial(
            f"{variant}, order {seed}",
            {kind: folder / f"{kind}_{variant}_{seed}.csv.gz" for kind in ("nodes", "pods")},
        )
        for variant in _VARIANTS
        for seed in (1, 2)
    ]


def _goals(results: Sequence[Result]) -> list[Verdict]:
    by_variant = {variant: [one for one in results if one.label.startswith(variant)] for variant in _VARIANTS}
    mean = {variant: sum(map(_allocated, both)) / len(both) for variant, both in by_variant.items()}
    above = [
        mean[variant] - sum(one.value(_HEADLINE, "fgd") for one in both) / len(both)
        for variant, both in by_variant.items()
    ]
    return [
        *(at_least(f"GPU allocation, {variant}, %", mean[variant], goal) for variant, goal in _GOALS.items()),
        at_least("above FGD on every variant, %", min(above), 0.4),
        at_most("seconds a run", max(one.played[OURS].seconds for one in results), 2.0),
    ]


def _allocated(result: Result) -> float:
    return result.value(_HEADLINE)


PACKING: Backtest[OpenbTrace] = Backtest(
    name="packing",
    about="GPU allocation when pods that arrive one by one, and must be placed if they fit, no longer fit.",
    options=OPTIONS,
    load=load_openb,
    policies={
        OURS: _ours,
        "fgd": packing_baselines.fragmentation,
        "best-fit": packing_baselines.best_fit,
        "dot-product": packing_baselines.dot_product,
        "random": packing_baselines.random,
    },
    judge=_judge,
    trials=_trials,
    goals=_goals,
    higher_is_better=True,
)
