"""Careful and still useful: each policy on the demo's fleet, whole and with samples missing, against the truth."""

import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

from benchmarks.careful.gaps import WAYS, Gaps
from benchmarks.careful.judge import Judged, figures, judge
from benchmarks.careful.policies import Decided, Recorded, gpu_pruner, gpuwise, low_gpu_util
from benchmarks.careful.truth import Truth, truths

from gpuwise.backtest.contract import OURS, Decisions, Played, Result, Verdict, at_least, at_most
from gpuwise.backtest.runner import plain
from gpuwise.cli.demo import SEED
from gpuwise.config import ObserveConfig
from gpuwise.model.usage import DAY_S, Window
from gpuwise.recommend.settings import RecommendSettings
from gpuwise.simulate.fleet import SimulatedFleet, simulate_fleet
from gpuwise.simulate.settings import FULL_NODES, FleetSettings
from gpuwise.sources.prices import read_prices
from gpuwise.sources.recording import RecordingWriter

NAME = "careful"
ABOUT = (
    "Share of the cost of unused workloads that is recommended to stop, and the cost of workloads that are stopped and "
    "used within a week, on the demo's fleet with samples missing."
)
# A Wednesday at 14:00 UTC, when people work in all three regions: a rule that looks back half an hour is best then.
NOW_S = int(datetime(2026, 5, 13, 14, tzinfo=UTC).timestamp())
LOOK_BACK_DAYS = 28
SHARES = (0.01, 0.05, 0.20)
SEEDS = (1, 2, 3, 4, 5)

POLICIES: Mapping[str, Callable[[Recorded], Decided]] = {
    OURS: gpuwise,
    "gpu-pruner": gpu_pruner,
    "gpu-util-below-5": low_gpu_util,
}


@dataclass(frozen=True, slots=True)
class Scene:
    """A simulated fleet with the time of the decision in it.

    Attributes:
        fleet: recorded up to the end of the horizon.
        now_s: time of the decision.
        truth: by uid, over the horizon.
    """

    fleet: SimulatedFleet
    now_s: int
    truth: Mapping[str, Truth]


def scene(
    *,
    nodes: int = FULL_NODES,
    step_s: int = ObserveConfig().step_s,
    look_back_days: int = LOOK_BACK_DAYS,
    seed: int = SEED,
) -> Scene:
    """Simulate a fleet up to a week after the decision: a recommendation is valid for that long.

    Args:
        nodes: of 8 GPUs; 40 is the demo's fleet.
        step_s: of the recording.
        look_back_days: before the decision.
        seed: of the fleet.
    """
    horizon = Window(NOW_S, NOW_S + RecommendSettings().lifetime_s, step_s)
    days = look_back_days + (horizon.end_s - NOW_S) // DAY_S
    fleet = simulate_fleet(seed, horizon.end_s, FleetSettings(nodes, days, step_s))
    return Scene(fleet, NOW_S, truths(fleet, read_prices(None), horizon))


def record(stage: Scene, gaps: Gaps, folder: Path) -> Recorded:
    """Record a scene with what is missing, as the demo does."""
    writer = RecordingWriter(folder)
    writer.write_objects(stage.fleet.objects)
    for pod in gaps.apply(stage.fleet, chain(stage.fleet.series(), stage.fleet.unallocated())):
        writer.append(pod)
    return Recorded.at(folder, stage.fleet.window, stage.now_s)


def played(stage: Scene, label: str, draws: Iterable[Gaps]) -> tuple[Result, Mapping[str, list[Judged]]]:
    """Play every policy on some draws of the same gaps.

    Returns:
        The result, and what was judged by policy.
    """
    rows: dict[str, list[Judged]] = {name: [] for name in POLICIES}
    seconds = dict.fromkeys(POLICIES, 0.0)
    count = 0
    for gaps in draws:
        count += 1
        with tempfile.TemporaryDirectory() as folder:
            recorded = record(stage, gaps, Path(folder))
            for name, policy in POLICIES.items():
                begun = time.perf_counter()
                decided = policy(recorded)
                seconds[name] += time.perf_counter() - begun
                rows[name] += judge(stage.truth, decided)
    names = ("name", "waste", "found", "wrong_stop", "wrong_schedule", "wrong_size", "lost")
    return Result(
        NAME,
        label,
        {
            name: Played(
                figures(of_policy, count),
                seconds[name] / count,
                Decisions(names, [tuple(getattr(row, name) for name in names) for row in of_policy]),
            )
            for name, of_policy in rows.items()
        },
        {"waste_found": 1.0, "wrong_stops_usd": 0.0},
    ), rows


def trials(shares: Sequence[float] = SHARES, seeds: Sequence[int] = SEEDS) -> list[tuple[str, list[Gaps]]]:
    """Everything sampled, then each way and share, with a draw for each seed."""
    found = [("everything sampled", [Gaps("devices", 0.0)])]
    found += [
        (f"{share:.0%} of {way} missing", [Gaps(way, share, seed) for seed in seeds])
        for way in WAYS
        for share in shares
    ]
    return found


def goals(results: Sequence[Result]) -> list[Verdict]:
    """What is to be reached: nothing stopped that is used, and almost all found where almost all is sampled."""
    little = [one for one in results if "1%" in one.label]
    return [
        at_most("cost of stopped workloads that are used, all rows ($ a month)",
                sum(one.value("wrong_stops_usd") for one in results), 0.0),
        at_least("waste found, everything sampled", results[0].value("waste_found"), 0.95),
        at_least("waste found with 1 % missing, the worst of all ways",
                 min(one.value("waste_found") for one in little), 0.95),
        at_most("cost of hours that a schedule stops and that are used, all rows ($ a month)",
                max(one.value("wrong_schedules_usd") for one in results), 0.0),
        at_most("saving of sizes below the need, all rows ($ a month)",
                sum(one.value("wrong_sizes_usd") for one in results), 0.0),
    ]  # fmt: skip


def found(shown: Callable[[str], None], stage: Scene | None = None) -> dict[str, Any]:
    """Play all trials.

    Args:
        shown: called with a line for each.
        stage: the demo's fleet if none is given.

    Returns:
        The JSON object of one backtest, as `gpuwise backtest all` saves it.
    """
    stage = stage or scene()
    results = []
    for label, draws in trials():
        result, rows = played(stage, label, draws)
        results.append(result)
        shown(_line(result))
        for one in _lost(rows[OURS], len(draws)):
            shown(f"    {one}")
    return {
        "backtest": NAME,
        "about": ABOUT,
        "higher_is_better": True,
        "results": [plain(result) for result in results],
        "goals": [{"goal": one.goal, "value": one.value, "met": one.met} for one in goals(results)],
    }


def _line(result: Result) -> str:
    shown = []
    for policy in POLICIES:
        found_share, wrong = result.value("waste_found", policy), result.value("wrong_stops_usd", policy)
        shown.append(f"{policy}: found {found_share:.3f}, wrong ${wrong:,.0f}")
    return f"{result.label:<34}{'; '.join(shown)}"


def _lost(rows: Sequence[Judged], draws: int) -> list[str]:
    """The most expensive waste that is not found, with its reason."""
    missed = sorted((row for row in rows if row.waste > row.found), key=lambda row: row.found - row.waste)
    return [f"${(row.waste - row.found) / draws:,.0f} {row.name}: {row.lost or 'in part'}" for row in missed[:8]]
