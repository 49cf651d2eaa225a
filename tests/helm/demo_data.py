"""What Prometheus has after scraping the demo's exporter and service for some minutes, as OpenMetrics text to backfill.

The demo's clock is set, so that minutes take no time.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner
from prometheus_client import CollectorRegistry, generate_latest

import gpuwise.cli.demo
from gpuwise.collect import catalogue
from gpuwise.collect.demo import demo
from gpuwise.collect.metric import LABELS, Metric
from gpuwise.collect.sampler import Sampler
from gpuwise.collect.serve.page import Page
from gpuwise.model.codec import from_json
from gpuwise.model.report import WeeklyReport
from gpuwise.service.loop import STEPS, LoopWatch
from gpuwise.service.metrics import FleetCollector
from gpuwise.service.pass_requests import PassRequests
from gpuwise.simulate.settings import FleetSettings

START_S, STEP_S, LENGTH_S = 1_780_000_000, 10, 400
"""The demo's card falls off the bus after 150 s; Prometheus then returns its last values for 300 s."""
END_S = START_S + LENGTH_S
NODE = "demo"
EXPORTER = {"job": "gpuwise-exporter", "instance": "10.0.0.1:9400"}
SERVICE = {"job": "gpuwise", "instance": "10.0.0.2:8080"}
_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")

Series = dict[str, list[str]]


def exporter_series(*, max_series: int = 10_000) -> Series:
    """Every scrape of a demo exporter; a small limit shows what a limited one serves."""
    clock = [float(START_S)]
    devices, attributor = demo()
    devices.clock = lambda: clock[0]
    sampler = Sampler(devices, attributor, interval_s=STEP_S, clock=lambda: clock[0])
    page = Page(sampler, node=NODE, max_series=max_series)
    found: Series = {}
    for at_s in range(START_S, END_S + 1, STEP_S):
        clock[0] = float(at_s)
        sampler.sample()
        text = page.plain().decode() + "up 1\n"
        _add(found, text, EXPORTER if max_series > 1_000 else EXPORTER | {"instance": "10.0.0.3:9400"}, at_s)
    return found


def demo_report(folder: Path, monkeypatch: pytest.MonkeyPatch) -> WeeklyReport:
    """The report of `gpuwise demo`, with a fleet that takes seconds instead of a minute."""
    monkeypatch.setattr(gpuwise.cli.demo, "FleetSettings", lambda: FleetSettings(nodes=8, days=14))
    done = CliRunner().invoke(gpuwise.cli.demo.demo, ["--output-dir", str(folder)])
    assert done.exit_code == 0, done.output
    (report,) = folder.glob("gpuwise-*.json")
    return from_json(WeeklyReport, report.read_bytes())


def service_series(report: WeeklyReport) -> Series:
    """Every scrape of a service with this report."""
    registry = CollectorRegistry()
    registry.register(FleetCollector(lambda: report))
    registry.register(PassRequests(least_s=300))
    watch = LoopWatch(600, wall=lambda: float(START_S))
    registry.register(watch)
    for step in STEPS:
        with watch.step(step):
            pass
    found: Series = {}
    for at_s in range(START_S, END_S + 1, STEP_S):
        _add(found, generate_latest(registry).decode() + "up 1\n", SERVICE, at_s)
    return found


def synthetic(metrics: Iterable[Metric]) -> Series:
    """One series for each metric, whose labels have the value "x"."""
    found: Series = {}
    for metric in metrics:
        inside = ",".join(f'{name}="x"' for name in (*LABELS[metric.scope], *metric.labels))
        for at_s in range(START_S, END_S + 1, STEP_S):
            _add(found, f"{metric.name}{{{inside}}} 1\n", EXPORTER, at_s)
    return found


def openmetrics(*sources: Series) -> str:
    """All series as one text, each metric once."""
    merged: Series = {}
    for source in sources:
        for name, lines in source.items():
            merged.setdefault(name, []).extend(lines)
    return "".join(f"# TYPE {name} unknown\n" + "".join(f"{line}\n" for line in merged[name]) for name in merged)


def by_name() -> dict[str, Metric]:
    """The exporter's metrics by name."""
    return {metric.name: metric for metric in (*catalogue.METRICS, *catalogue.OWN_METRICS)}


def _add(found: Series, text: str, target: Mapping[str, str], at_s: int) -> None:
    scraped = ",".join(f'{name}="{value}"' for name, value in target.items())
    for line in text.splitlines():
        match = _SAMPLE.match(line)
        if match:
            name, labels, value = match.groups()
            inside = f"{scraped},{labels}" if labels else scraped
            found.setdefault(name, []).append(f"{name}{{{inside}}} {value} {at_s}")
