"""Policies of the backtest `memory`: the share of the limits that is unused, and how often they are exceeded."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from gpuwise.backtest.bootstrap import ratio_of_sums
from gpuwise.backtest.contract import OURS, Backtest, Decisions, Figure, Option, Result, Trial, Verdict, at_most
from gpuwise.backtest.folds import read_folds
from gpuwise.backtest.memory_limit.trace import MemoryTrace, decisions, judged, load, peaks_mib, scored, windows
from gpuwise.recommend.case import CONFIDENT_DAYS
from gpuwise.recommend.settings import RecommendSettings
from gpuwise.research.memory_limit import MemoryLimitSettings, Usage, fleet_limits
from gpuwise.research.memory_limit.chance import Prior
from gpuwise.research.memory_limit.history import HOUR_S
from gpuwise.research.memory_limit.prior import PRIOR

POD_HELD_OUT = "gpuwise-pod-held-out"
POD_AND_HALF_HELD_OUT = "gpuwise-pod-and-half-held-out"

# The middle of GenTD26's 22.8 h. A fit on the first half ends an hour before it, so that its last hour is over.
_MIDDLE_S = 11.4 * HOUR_S

# The VPA recommender's defaults: 90th percentile, margin 15 %, half weight for samples that are a day old.
_VPA_SHARE, _VPA_MARGIN, _VPA_HALF_LIFE_S = 0.9, 1.15, 86_400.0

# What `gpuwise scan` sizes by, with two weeks of data: the highest use so far, with headroom (recommend/estimators.py).
RIGHT_SIZE = "right-size"
_RIGHT_SIZE_FACTOR = RecommendSettings().headroom * (1 + 1 / CONFIDENT_DAYS)

ALLOWED_OVERRUN = 0.025
_LOOK_BACKS_H = (1.0, 2.0, 4.0, 6.0, 12.0, np.inf)
_FACTORS = np.arange(1.0, 2.51, 0.05)

Rule = Callable[[Usage, float], float]
"""Maps a pod and a time to a limit; an online rule uses earlier samples only."""


def in_half(at_s: float, half: int) -> bool:
    """Whether a window that starts then is in one half of the trace; the hour before the middle is in none."""
    return at_s >= _MIDDLE_S if half else at_s + HOUR_S <= _MIDDLE_S


def _ours(trace: MemoryTrace) -> Decisions:
    return _decided(trace, lambda _name, _at_s: PRIOR)


def _held_out(trace: MemoryTrace) -> Decisions:
    """Gpuwise's policy with constants fitted without the pod; for pods of other traces the shipped ones."""
    priors = read_folds("memory_limit", Prior)
    return _decided(trace, lambda name, _at_s: priors.get(name, PRIOR))


def _half_held_out(trace: MemoryTrace) -> Decisions:
    """The same with constants that were also fitted on the other half of the time."""
    priors = read_folds("memory_limit", Prior)
    return _decided(trace, lambda name, at_s: priors.get(f"{name}@{int(at_s >= _MIDDLE_S)}", PRIOR))


def _decided(trace: MemoryTrace, prior_of: Callable[[str, float], Prior]) -> Decisions:
    due, settings = windows(trace), MemoryLimitSettings(horizon_h=trace.horizon_h)
    return decisions(fleet_limits(trace.fleet, due, settings, prior_of), due)


def _policy(rule: Rule) -> Callable[[MemoryTrace], Decisions]:
    return lambda trace: decisions(_limits(trace, rule), windows(trace))


def _limits(trace: MemoryTrace, rule: Rule) -> dict[str, list[float]]:
    return {name: [rule(trace.fleet[name], at) for at in starts_s] for name, starts_s in windows(trace).items()}


def _maximum(factor: float, look_back_h: float = np.inf) -> Rule:
    def rule(usage: Usage, now_s: float) -> float:
        past = np.searchsorted(usage.t_s, now_s)
        first = np.searchsorted(usage.t_s, now_s - look_back_h * HOUR_S)
        return factor * float(usage.mib[min(first, past - 1) : past].max())

    return rule


def _vpa(usage: Usage, now_s: float) -> float:
    past = np.searchsorted(usage.t_s, now_s)
    order = np.argsort(usage.mib[:past])
    weight = np.exp2((usage.t_s[:past][order] - now_s) / _VPA_HALF_LIFE_S).cumsum()
    at = int(np.searchsorted(weight, _VPA_SHARE * weight[-1]))
    return _VPA_MARGIN * float(usage.mib[:past][order][at])


def _best_simple(trace: MemoryTrace) -> Decisions:
    """The look-back and the factor on its maximum with the least slack at <= 2.5 % overrun, chosen in hindsight."""
    best: tuple[float, dict[str, list[float]]] | None = None
    for look_back_h in _LOOK_BACKS_H:
        plain = _limits(trace, _maximum(1.0, look_back_h))
        for factor in _FACTORS:
            limits = {name: [factor * one for one in values] for name, values in plain.items()}
            slack, overrun = _pooled(trace, limits).mean(axis=0)
            if overrun <= ALLOWED_OVERRUN and (best is None or slack < best[0]):
                best = (float(slack), limits)
    limits = _limits(trace, _maximum(_FACTORS[-1])) if best is None else best[1]
    return decisions(limits, windows(trace))


def _pooled(
    trace: MemoryTrace, limits: Mapping[str, Sequence[float]]
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    at_s = windows(trace)
    return np.concatenate([scored(trace, name, at_s[name], limits[name]) for name in at_s])


def _peaks(trace: MemoryTrace) -> dict[str, list[float]]:
    return {name: peaks_mib(trace, name, starts_s) for name, starts_s in windows(trace).items()}


def _oracle(trace: MemoryTrace) -> Decisions:
    return decisions(_peaks(trace), windows(trace))


def _judge(trace: MemoryTrace, made: Decisions) -> dict[str, Figure]:
    by_pod = list(judged(trace, made).values())
    count = np.array([float(len(one)) for one in by_pod])
    slack, overrun = np.array([one.sum(axis=0) for one in by_pod]).T
    return {
        "slack_share": ratio_of_sums(slack, count),
        "overrun_share": ratio_of_sums(overrun, count),
        "windows": Figure(float(count.sum())),
    }


def _trials(data: Path) -> list[Trial]:
    usage = data / "genai_gentd26" / "pod_gpu_57s.csv.gz"
    return [Trial("GenTD26", {"usage": usage, "history_h": 6.0, "horizon_h": 1.0})]


def _goals(results: Sequence[Result]) -> list[Verdict]:
    [result] = results
    return [
        at_most("share of the limit left unused, pods not fitted on", result.value("slack_share", POD_HELD_OUT), 0.32),
        at_most(
            "share of windows overrun, pods not fitted on",
            result.value("overrun_share", POD_HELD_OUT),
            ALLOWED_OVERRUN,
        ),
        at_most(
            "share of windows overrun, neither pods nor time fitted on",
            result.value("overrun_share", POD_AND_HALF_HELD_OUT),
            ALLOWED_OVERRUN,
        ),
    ]


MEMORY: Backtest[MemoryTrace] = Backtest(
    name="memory",
    about="GPU memory limits set every hour: the share that is unused, and how often they are exceeded.",
    options=(
        Option("--usage", "CSV with pod, t_s, gpu_mem_mib; a blank means a missing sample."),
        Option("--history-h", "Hours of a pod before its first limit.", kind=float, default=6.0),
        Option("--horizon-h", "Hours for which a limit applies.", kind=float, default=1.0),
    ),
    load=load,
    policies={
        OURS: _ours,
        POD_HELD_OUT: _held_out,
        POD_AND_HALF_HELD_OUT: _half_held_out,
        RIGHT_SIZE: _policy(_maximum(_RIGHT_SIZE_FACTOR)),
        "vpa": _policy(_vpa),
        "max": _policy(_maximum(1.0)),
        "max-x1.10": _policy(_maximum(1.1)),
        "best-simple": _best_simple,
        "oracle": _oracle,
    },
    judge=_judge,
    trials=_trials,
    goals=_goals,
    bound=lambda trace: {"slack_share": float(_pooled(trace, _peaks(trace)).mean(axis=0)[0]), "overrun_share": 0.0},
)
