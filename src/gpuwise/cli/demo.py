"""The whole loop on a simulated fleet: no GPU, no cluster, no account."""

import shlex
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

import click
import yaml

from gpuwise.cli import act, demo_cluster, show
from gpuwise.cli.console import err, progress, say
from gpuwise.cli.help import command
from gpuwise.cli.paths import FILE
from gpuwise.cli.weekly import WEEK_S, week_of
from gpuwise.config import Config, KubernetesConfig, LedgerConfig, ObserveConfig, ScheduleConfig
from gpuwise.emulate.server import KubernetesEmulator
from gpuwise.model.command import OutcomeStatus
from gpuwise.model.errors import InputError
from gpuwise.model.report import Action, WeeklyReport
from gpuwise.model.usage import Window
from gpuwise.pipeline import Pipeline
from gpuwise.recommend.settings import RecommendSettings
from gpuwise.report import wording, write_report
from gpuwise.simulate.fleet import SimulatedFleet, simulate_fleet
from gpuwise.simulate.settings import FleetSettings
from gpuwise.store.recording import RecordingWriter
from gpuwise.wiring import loop

SEED = 20_260_516

_MARK = ".gpuwise-demo"

# The loop turns on Sunday at 23:00, so that what it does belongs to the week that is reported at midnight.
_BEFORE_MIDNIGHT_S = 3_600


@command()
@click.option(
    "--output-dir", type=FILE, default=Path("build/demo"), show_default=True, help="New, or an earlier demo's."
)
@click.option("--executor", type=click.Choice(["local", "ray"]), default="local", show_default=True)
@click.option("--serve", is_flag=True, help="Leave the page running afterwards.")
@click.option(
    "--api", is_flag=True, help="Serve the emulated cluster as the last demo left it until Ctrl-C; simulate nothing."
)
@click.option("--listen", default="127.0.0.1:8080", show_default=True, help="For --serve.")
def demo(output_dir: Path, executor: str, serve: bool, api: bool, listen: str) -> None:  # noqa: FBT001 - click
    """Simulate a fleet of 320 GPUs, find its waste, fix what is safe on an emulated cluster, and report the week."""
    if api:
        demo_cluster.serve(output_dir)
        return
    now_s = week_of("last", int(time.time()))[1] + WEEK_S
    _cleared(output_dir)
    with progress() as tell:
        fleet = simulate_fleet(SEED, now_s, FleetSettings(), lambda done, total: tell("simulate", done, total))
        _record(fleet, output_dir / "recording")
    with KubernetesEmulator(fleet.objects, clock=lambda: float(now_s)) as cluster:
        config = _config(fleet, output_dir, executor, cluster.write_kubeconfig(output_dir / demo_cluster.KUBECONFIG))
        file = _write_config(config, output_dir)
        with loop(config, writing=True, at_s=now_s - _BEFORE_MIDNIGHT_S) as pipeline:
            _turn(pipeline, now_s - _BEFORE_MIDNIGHT_S, _reach(file, config))
            report = _week(pipeline, fleet, now_s)
        demo_cluster.keep(output_dir / demo_cluster.KUBECONFIG, output_dir)
    paths = write_report(report, output_dir)
    for line in _next_steps(report, config, file, now_s):
        say(line, to=err)
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
        raise InputError(f"{folder} is not empty, and no demo made it", hint="name another --output-dir")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is no folder", hint="name another --output-dir")
    folder.mkdir(parents=True, exist_ok=True)
    mark.touch()
    shutil.rmtree(folder / "recording", ignore_errors=True)
    left = ("kubeconfig", "gpuwise.yaml", "cluster.json")
    for path in (*folder.glob("ledger.db*"), *folder.glob("gpuwise-*-W*.*"), *(folder / name for name in left)):
        path.unlink(missing_ok=True)


def _record(fleet: SimulatedFleet, folder: Path) -> None:
    writer = RecordingWriter(folder)
    writer.write_objects(fleet.objects)
    for pod in chain(fleet.series(), fleet.unallocated()):
        writer.append(pod)


def _turn(pipeline: Pipeline, now_s: int, reach: str) -> None:
    """One turn of the loop against the emulated cluster, and what it found and did."""
    with progress() as tell:
        turn = replace(pipeline, progress=tell).run_once(now_s)
    show.table(pipeline.summary(turn.survey, now_s=now_s))
    act.told(turn, flags=reach)


def _week(pipeline: Pipeline, fleet: SimulatedFleet, now_s: int) -> WeeklyReport:
    name, start_s = week_of("last", now_s)
    window = Window(start_s, start_s + WEEK_S, fleet.window.step_s)
    with progress() as tell:
        return replace(pipeline, progress=tell).report(window, week=name, now_s=now_s)


def _config(fleet: SimulatedFleet, folder: Path, executor: str, kubeconfig: Path) -> Config:
    window = fleet.window
    folder = folder.resolve()
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


def _write_config(config: Config, folder: Path) -> Path:
    """What the other commands need to go on: whole paths, so that they work from any folder."""
    told = {
        "cluster_name": config.cluster_name,
        "recording": str(config.recording),
        "ledger": {"path": str(config.ledger.path)},
        "observe": {"look_back_h": config.observe.look_back_h, "step_s": config.observe.step_s},
        "recommend": {"usd_per_kwh": config.recommend.usd_per_kwh},
    }
    path = folder / "gpuwise.yaml"
    path.write_text(f"# What `gpuwise demo` left, for --config.\n{yaml.safe_dump(told, sort_keys=False)}")
    return path


def _reach(file: Path, config: Config) -> str:
    """Flags with which a command finds the demo's ledger and its emulated cluster."""
    return f" --config {shlex.quote(str(file))} --kubeconfig {shlex.quote(str(config.kubernetes.kubeconfig))}"


def _next_steps(report: WeeklyReport, config: Config, file: Path, now_s: int) -> Iterator[str]:
    """Where the demo leads on, each command on a line ready to paste."""
    program, flags = _program(), f"--config {shlex.quote(str(file))}"
    first = next(iter(wording.applicable(report)), None)
    yield "Next, line by line:"
    if first is not None:
        yield f"  {program} explain {first.id} {flags}"
    yield f"  {program} plan {flags} --now {now_s}"
    yield f"  {program} scan {flags} --now {now_s}"
    undone = next((one.intent.command.id for one in report.actions if _applied(one)), None)
    if undone is not None:
        yield "To undo an action, serve the emulated cluster in a second terminal, then undo:"
        yield f"  {program} demo --api --output-dir {shlex.quote(str(file.parent))}"
        yield f"  {program} undo {undone}{_reach(file, config)}"


def _applied(action: Action) -> bool:
    return action.outcome is not None and action.outcome.status is OutcomeStatus.APPLIED


def _program() -> str:
    """How this very program is called: by its name where that is on the path."""
    found = shutil.which("gpuwise")
    return "gpuwise" if found and Path(found).resolve() == Path(sys.argv[0]).resolve() else shlex.quote(sys.argv[0])
