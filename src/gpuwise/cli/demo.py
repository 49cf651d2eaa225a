"""The whole loop on a simulated fleet: no GPU, no cluster, no account."""

import shutil
import time
from dataclasses import replace
from itertools import chain
from pathlib import Path

import click

from gpuwise.cli import act, show
from gpuwise.cli.console import err, progress, say
from gpuwise.cli.options import FILE
from gpuwise.cli.weekly import WEEK_S, week_of
from gpuwise.config import Config, KubernetesConfig, LedgerConfig, ObserveConfig, ScheduleConfig
from gpuwise.emulate.server import KubernetesEmulator
from gpuwise.model.errors import InputError
from gpuwise.model.report import WeeklyReport
from gpuwise.model.usage import Window
from gpuwise.pipeline import Pipeline
from gpuwise.recommend.settings import RecommendSettings
from gpuwise.report import write_report
from gpuwise.simulate.fleet import SimulatedFleet, simulate_fleet
from gpuwise.simulate.settings import FleetSettings
from gpuwise.store.recording import RecordingWriter
from gpuwise.wiring import loop

SEED = 20_260_516

_MARK = ".gpuwise-demo"

# The loop turns on Sunday at 23:00, so that what it does belongs to the week that is reported at midnight.
_BEFORE_MIDNIGHT_S = 3_600


@click.command()
@click.option(
    "--output-dir", type=FILE, default=Path("build/demo"), show_default=True, help="New, or an earlier demo's."
)
@click.option("--executor", type=click.Choice(["local", "ray"]), default="local", show_default=True)
@click.option("--serve", is_flag=True, help="Leave the page running afterwards.")
@click.option("--listen", default="127.0.0.1:8080", show_default=True, help="For --serve.")
def demo(output_dir: Path, executor: str, serve: bool, listen: str) -> None:  # noqa: FBT001 - click
    """Simulate a fleet of 320 GPUs, find its waste, mend what is safe on an emulated cluster, and report the week."""
    now_s = week_of("last", int(time.time()))[1] + WEEK_S
    _cleared(output_dir)
    with progress() as tell:
        fleet = simulate_fleet(SEED, now_s, FleetSettings(), lambda done, total: tell("simulate", done, total))
        _record(fleet, output_dir / "recording")
    with KubernetesEmulator(fleet.objects, clock=lambda: float(now_s)) as cluster:
        config = _config(fleet, output_dir, executor, cluster.write_kubeconfig(output_dir / "kubeconfig"))
        with loop(config, writing=True, at_s=now_s - _BEFORE_MIDNIGHT_S) as pipeline:
            _turn(pipeline, now_s - _BEFORE_MIDNIGHT_S)
            report = _week(pipeline, fleet, now_s)
    paths = write_report(report, output_dir)
    say(f"The same, as a user would: gpuwise scan --recording {output_dir}/recording --now {now_s}", to=err)
    say(str(paths.html))
    if serve:
        from gpuwise.cli.address import address  # noqa: PLC0415
        from gpuwise.cli.serve import listen_on  # noqa: PLC0415

        host, port = address(listen)
        listen_on(host, port, lambda: report, None)


def _cleared(folder: Path) -> None:
    """Make the folder, or take away what an earlier demo left in it; a folder that no demo made is not touched."""
    mark = folder / _MARK
    if folder.is_dir() and any(folder.iterdir()) and not mark.exists():
        raise InputError(f"{folder} is not empty, and no demo made it", mend="name another --output-dir")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is no folder", mend="name another --output-dir")
    folder.mkdir(parents=True, exist_ok=True)
    mark.touch()
    shutil.rmtree(folder / "recording", ignore_errors=True)
    for path in (*folder.glob("ledger.db*"), *folder.glob("gpuwise-*-W*.*"), folder / "kubeconfig"):
        path.unlink(missing_ok=True)


def _record(fleet: SimulatedFleet, folder: Path) -> None:
    writer = RecordingWriter(folder)
    writer.write_objects(fleet.objects)
    for pod in chain(fleet.series(), fleet.unheld()):
        writer.append(pod)


def _turn(pipeline: Pipeline, now_s: int) -> None:
    """One turn of the loop against the emulated cluster, and what it found and did."""
    with progress() as tell:
        turn = replace(pipeline, progress=tell).run_once(now_s)
    show.table(pipeline.summary(turn.survey, now_s=now_s))
    act.told(turn)


def _week(pipeline: Pipeline, fleet: SimulatedFleet, now_s: int) -> WeeklyReport:
    name, start_s = week_of("last", now_s)
    window = Window(start_s, start_s + WEEK_S, fleet.window.step_s)
    with progress() as tell:
        return replace(pipeline, progress=tell).report(window, week=name, now_s=now_s)


def _config(fleet: SimulatedFleet, folder: Path, executor: str, kubeconfig: Path) -> Config:
    window = fleet.window
    base = Config(cluster_name="demo", recording=folder / "recording")
    return replace(
        base,
        ledger=LedgerConfig(folder / "ledger.db"),
        kubernetes=KubernetesConfig(kubeconfig),
        observe=ObserveConfig(look_back_h=window.seconds // 3_600, step_s=window.step_s),
        # As if energy had a price of its own, so that limits on power are worth something.
        recommend=RecommendSettings(usd_per_kwh=0.2),
        schedule=ScheduleConfig("ray" if executor == "ray" else "local"),
    )
