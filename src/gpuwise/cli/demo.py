"""The whole loop on a simulated fleet: no GPU, no cluster, no account."""

import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path

import click
import yaml

from gpuwise import weekly
from gpuwise.cli import demo_cluster, show
from gpuwise.cli.console import err, progress, say
from gpuwise.cli.help import command
from gpuwise.cli.paths import FILE
from gpuwise.cli.report import week_of
from gpuwise.cli.run import show_run
from gpuwise.config import Config, KubernetesConfig, LedgerConfig, ObserveConfig, ScheduleConfig
from gpuwise.emulate.server import KubernetesEmulator
from gpuwise.finops.daily import SETTLED_S
from gpuwise.finops.settings import Budget, FinopsSettings
from gpuwise.finops.trend import WEEKS
from gpuwise.lead.settings import LeadSettings
from gpuwise.model.codec import to_plain
from gpuwise.model.command import OutcomeStatus
from gpuwise.model.errors import InputError
from gpuwise.model.report import Action, WeeklyReport
from gpuwise.model.usage import Window
from gpuwise.pipeline import Pipeline, Survey
from gpuwise.recommend.settings import RecommendSettings
from gpuwise.report import wording, write_report
from gpuwise.simulate.fleet import SimulatedFleet, simulate_fleet
from gpuwise.simulate.settings import FleetSettings
from gpuwise.sources.kubernetes.inventory import KubernetesInventory, RecordedObjects
from gpuwise.sources.recording import RecordedUsage, RecordingWriter
from gpuwise.wiring import INVENTORY_FILE, loop

SEED = 20_260_516

RECOMMEND = RecommendSettings(usd_per_kwh=0.2, regions_by_data_class={"voices": ("eu-west-1",)})
"""Energy has a price of its own, so that lower power limits have a saving, and voices must stay in Europe."""

BUDGETS = (
    Budget("everything", 700_000.0, "fleet"),
    Budget("vision", 100_000.0, "team", "vision"),
    Budget("search", 60_000.0, "team", "search"),
)

_MARK = ".gpuwise-demo"
_HISTORY_STEP_S = 900

# The pass runs on Sunday at 23:00, so that its effects belong to the week that is reported at midnight.
_BEFORE_MIDNIGHT_S = 3_600


@command()
@click.option(
    "--output-dir",
    type=FILE,
    default=Path("build/demo"),
    show_default=True,
    help="A new folder, or that of an earlier demo.",
)
@click.option("--executor", type=click.Choice(["local", "ray"]), default="local", show_default=True)
@click.option("--serve", is_flag=True, help="Serve the page afterwards, until Ctrl-C.")
@click.option("--api", is_flag=True, help="Only serve the emulated cluster as the last demo left it, until Ctrl-C.")
@click.option("--listen", default="127.0.0.1:8080", show_default=True, help="For --serve.")
def demo(output_dir: Path, executor: str, serve: bool, api: bool, listen: str) -> None:  # noqa: FBT001 - click
    """Simulate a fleet of 320 GPUs, find its waste, fix what is safe on an emulated cluster, and report the week."""
    if api:
        demo_cluster.serve(output_dir)
        return
    _, _, now_s = week_of("last", int(time.time()))
    _clear(output_dir)
    with progress() as tell:
        fleet = simulate_fleet(SEED, now_s, FleetSettings(), lambda done, total: tell("simulate", done, total))
        _record(fleet, output_dir / "recording")
    with KubernetesEmulator(fleet.objects, clock=lambda: float(now_s)) as cluster:
        config = _config(fleet, output_dir, executor, cluster.write_kubeconfig(output_dir / demo_cluster.KUBECONFIG))
        file = _write_config(config, output_dir)
        with loop(config, writing=True, at_s=now_s - _BEFORE_MIDNIGHT_S) as pipeline:
            _add_history(pipeline, fleet.window.start_s, output_dir)
            _run_pass(pipeline, now_s - _BEFORE_MIDNIGHT_S, _flags(file, config))
            report = _week(pipeline, fleet, now_s)
        demo_cluster.keep(output_dir / demo_cluster.KUBECONFIG, output_dir)
    paths = write_report(report, output_dir)
    for line in _next_steps(report, config, file, now_s):
        say(line, to=err)
    say(str(paths.html))
    if serve:
        from gpuwise.cli.address import address  # noqa: PLC0415
        from gpuwise.cli.serve import cost_document, listen_on  # noqa: PLC0415
        from gpuwise.service.app import create_app  # noqa: PLC0415
        from gpuwise.service.metrics import FleetCollector  # noqa: PLC0415

        host, port = address(listen)
        collectors = [FleetCollector(lambda: report)]
        cost = partial(cost_document, config)
        listen_on(host, port, create_app(lambda: report, token=None, collectors=collectors, cost=cost))


def _clear(folder: Path) -> None:
    """Create the folder, or remove the files of an earlier demo from it; a folder of something else is an error."""
    mark = folder / _MARK
    if folder.is_dir() and any(folder.iterdir()) and not mark.exists():
        raise InputError(f"{folder} is not empty and not of an earlier demo", hint="name another --output-dir")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is not a folder", hint="name another --output-dir")
    folder.mkdir(parents=True, exist_ok=True)
    mark.touch()
    shutil.rmtree(folder / "recording", ignore_errors=True)
    left = ("kubeconfig", "gpuwise.yaml", "cluster.json")
    for path in (*folder.glob("ledger.db*"), *folder.glob("gpuwise-*-W*.*"), *(folder / name for name in left)):
        path.unlink(missing_ok=True)


def _record(fleet: SimulatedFleet, folder: Path) -> None:
    with RecordingWriter(folder) as writer:
        writer.write_objects(fleet.objects)
        for pod in chain(fleet.series(), fleet.unallocated()):
            writer.append(pod)


def _add_history(pipeline: Pipeline, until_s: int, folder: Path) -> None:
    """Add the cost of the weeks before the recording, of the same fleet at a coarser step, to the cost history."""
    recorded = FleetSettings()
    coarse = replace(recorded, days=WEEKS * 7 - recorded.days, step_s=_HISTORY_STEP_S)
    before = simulate_fleet(SEED, until_s, coarse)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        _record(before, Path(scratch))
        earlier = replace(pipeline, usage=RecordedUsage(Path(scratch)))
        found = KubernetesInventory(RecordedObjects(Path(scratch) / INVENTORY_FILE)).snapshot(until_s)
        profiles = earlier.score(found, before.window)
        earlier.ledger.belongs_to(pipeline.inventory.snapshot(until_s).cluster or pipeline.settings.cluster_name)
        # The days are long over: late samples have arrived.
        earlier.record_costs(Survey(before.window, found, profiles, (), ()), until_s + SETTLED_S)


def _run_pass(pipeline: Pipeline, now_s: int, flags: str) -> None:
    """Run one pass of the loop on the emulated cluster, and show what it found and did."""
    with progress() as tell:
        done = replace(pipeline, progress=tell).run_once(now_s)
    show.table(weekly.summary(pipeline, done.survey, now_s=now_s))
    show_run(done, flags=flags)


def _week(pipeline: Pipeline, fleet: SimulatedFleet, now_s: int) -> WeeklyReport:
    name, start_s, end_s = week_of("last", now_s)
    window = Window(start_s, end_s, fleet.window.step_s)
    with progress() as tell:
        return weekly.read_week(replace(pipeline, progress=tell), window, week=name, now_s=now_s).report


def _config(fleet: SimulatedFleet, folder: Path, executor: str, kubeconfig: Path) -> Config:
    window = fleet.window
    folder = folder.resolve()
    base = Config(cluster_name="demo", recording=folder / "recording")
    return replace(
        base,
        ledger=LedgerConfig(folder / "ledger.db"),
        kubernetes=KubernetesConfig(kubeconfig),
        lead=LeadSettings(enabled=False),  # nothing else writes to this emulated cluster
        observe=ObserveConfig(look_back_h=window.seconds // 3_600, step_s=window.step_s),
        recommend=RECOMMEND,
        finops=FinopsSettings(budgets=BUDGETS),
        schedule=ScheduleConfig("ray" if executor == "ray" else "local"),
    )


def _write_config(config: Config, folder: Path) -> Path:
    """Write the configuration for later commands, with absolute paths, so that they work from any folder."""
    settings = {
        "cluster_name": config.cluster_name,
        "recording": str(config.recording),
        "ledger": {"path": str(config.ledger.path)},
        "finops": {"budgets": [to_plain(one) for one in config.finops.budgets]},
        "observe": {"look_back_h": config.observe.look_back_h, "step_s": config.observe.step_s},
        "recommend": {
            "usd_per_kwh": config.recommend.usd_per_kwh,
            "regions_by_data_class": {name: list(one) for name, one in config.recommend.regions_by_data_class.items()},
        },
    }
    path = folder / "gpuwise.yaml"
    path.write_text(f"# Written by `gpuwise demo`, for --config.\n{yaml.safe_dump(settings, sort_keys=False)}")
    return path


def _flags(file: Path, config: Config) -> str:
    """Return the flags of the demo's ledger and of its emulated cluster."""
    return f" --config {shlex.quote(str(file))} --kubeconfig {shlex.quote(str(config.kubernetes.kubeconfig))}"


def _next_steps(report: WeeklyReport, config: Config, file: Path, now_s: int) -> Iterator[str]:
    """Yield the commands to try next, each on a line to copy."""
    program, flags = _program(), f"--config {shlex.quote(str(file))}"
    first = next(iter(wording.applicable(report)), None)
    yield "Try next:"
    if first is not None:
        yield f"  {program} explain {first.id} {flags}"
    yield f"  {program} plan {flags} --now {now_s}"
    yield f"  {program} scan {flags} --now {now_s}"
    undone = next((one.intent.command.id for one in report.actions if _applied(one)), None)
    if undone is not None:
        yield "To undo an action, serve the emulated cluster in a second terminal first:"
        yield f"  {program} demo --api --output-dir {shlex.quote(str(file.parent))}"
        yield f"  {program} undo {undone}{_flags(file, config)}"


def _applied(action: Action) -> bool:
    return action.outcome is not None and action.outcome.status is OutcomeStatus.APPLIED


def _program() -> str:
    """Return the name of this program if it is on the path, else how it was called."""
    found = shutil.which("gpuwise")
    return "gpuwise" if found and Path(found).resolve() == Path(sys.argv[0]).resolve() else shlex.quote(sys.argv[0])
