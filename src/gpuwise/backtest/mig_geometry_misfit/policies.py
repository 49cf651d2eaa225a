"""Policies of the backtest `mig`: GPUs and MIG geometries that serve every model at its rate and latency."""

from collections.abc import Callable, Sequence
from pathlib import Path

from gpuwise.backtest.contract import OURS, Backtest, Decisions, Option, Result, Trial, Verdict, at_most
from gpuwise.backtest.mig_geometry_misfit.baselines import greedy, parvagpu, whole_gpus
from gpuwise.backtest.mig_geometry_misfit.judge import judge
from gpuwise.backtest.mig_geometry_misfit.trace import GEOMETRIES, NAMES, OFFERS, DemandSet, MigTrace, load
from gpuwise.recommend.engines.mig_geometry_misfit.pack import pack
from gpuwise.research.mig_geometry_misfit.place import Placed, place

_COLUMNS = ("gpu", "profile", "start", "model", "batch_size", "mps_procs")

Deploy = Callable[[DemandSet], list[Placed]]
"""Chooses the places of the instances of one set."""


def _ours(demand: DemandSet) -> list[Placed]:
    return place(GEOMETRIES, pack(OFFERS, demand.served_ips, demand.rate_ips))


def _policy(deploy: Deploy) -> Callable[[MigTrace], Decisions]:
    """Deploy every set on its own GPUs, each slice with the setup that has the most throughput."""

    def decide(trace: MigTrace) -> Decisions:
        rows = [
            (one.gpu, NAMES[one.profile], one.start, demand.models[one.item])
            + tuple(demand.setup[one.item, one.profile].tolist())
            + ((demand.name,) if trace.named else ())
            for demand in trace.sets
            for one in sorted(deploy(demand))
        ]
        return Decisions(_COLUMNS + (("set",) if trace.named else ()), rows)

    return decide


def _trials(data: Path) -> list[Trial]:
    folder = data / "mig_profiles"
    files = {
        "throughput": folder / "parvagpu_a100_80gb_inference.csv.gz",
        "slo": folder / "slo_sets.csv.gz",
    }
    return [Trial(f"ParvaGPU's sets, {scale} x the demand", {**files, "scale": scale}) for scale in (1, 100)]


def _goals(results: Sequence[Result]) -> list[Verdict]:
    once, hundredfold = results
    return [
        at_most("GPUs for the six sets", once.value("gpus_used"), 44),
        at_most("above what is proved to be needed", once.value("above_bound"), 0),
        at_most("seconds for the six sets, 1 for each", once.played[OURS].seconds, 6),
        at_most("above the fluid optimum at 100 x the demand", hundredfold.value("above_fluid"), 0.005),
        at_most("seconds at 100 x the demand", hundredfold.played[OURS].seconds, 5),
    ]


MIG: Backtest[MigTrace] = Backtest(
    name="mig",
    about="Number of GPUs that serve every model at its rate and latency with MIG, above the proved lower bound.",
    options=(
        Option(
            "--throughput", "CSV with model, mig_gpcs, batch_size, mps_procs, throughput_ips (per process), latency_s."
        ),
        Option("--slo", "CSV with model, rate_ips, latency_s (highest measured latency allowed), and optionally set."),
        Option("--scale", "Multiply every rate by this.", kind=int, default=1),
    ),
    load=load,
    policies={
        OURS: _policy(_ours),
        "parvagpu": _policy(parvagpu),
        "greedy": _policy(greedy),
        "whole-gpus": _policy(whole_gpus),
    },
    judge=judge,
    trials=_trials,
    goals=_goals,
    bound=lambda trace: {"gpus_used": float(sum(demand.packing.bound for demand in trace.sets)), "above_bound": 0.0},
)
