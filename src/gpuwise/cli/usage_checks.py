"""The checks of `gpuwise doctor` of the fleet's usage: the last day is read and scored as `scan` does."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np

from gpuwise.cli.work_checks import DeclaredWork
from gpuwise.model.billed import ScoredUse
from gpuwise.model.checks import CheckResult, CheckStatus
from gpuwise.model.inventory import Inventory
from gpuwise.model.ports import UsageSource
from gpuwise.model.signal import SIGNALS, Sensor, Signal
from gpuwise.model.usage import UsageSeries, Window
from gpuwise.score.expected import running_pods
from gpuwise.score.hours import hours_of
from gpuwise.score.profile import score_hours
from gpuwise.score.settings import ScoreSettings

_SHOWN = 5
_INDEPENDENT = 2  # sensors that must agree before a workload is stopped (I2)


@dataclass(slots=True)
class _Day:
    """What a day's usage contains.

    Attributes:
        signals: by node, the signals that any of its devices reported.
        expected_h: GPU-hours allocated to workloads.
        sampled_h: of these, with a sample of the best-covered signal.
        silent: pods that run and report fewer devices than they request, with their namespaces.
        dropped: values that were dropped because they are impossible.
    """

    signals: dict[str, set[Signal]] = field(default_factory=dict)
    expected_h: float = 0.0
    sampled_h: float = 0.0
    silent: list[str] = field(default_factory=list)
    dropped: int = 0

    def add(self, series: UsageSeries) -> None:
        """Count the signals of the devices."""
        for device in series.devices:
            self.dropped += device.dropped_samples
            found = {signal for signal, values in device.samples.items() if np.isfinite(values).any()}
            if device.node is not None:
                self.signals.setdefault(device.node, set()).update(found)

    def count(self, use: ScoredUse) -> None:
        """Count the GPU-hours of a workload, and its pods without samples."""
        one = use.profile
        unseen_s = sum(day.allocated_gpu_s for day in use.billed.unseen_days)
        self.expected_h += (one.allocated_gpu_s + unseen_s) / 3_600
        self.sampled_h += max(one.coverage.values(), default=0.0) * one.allocated_gpu_s / 3_600
        self.silent += [f"{one.workload.namespace}/{pod}" for pod in one.unsampled_pods]


def of_fleet(
    source: UsageSource, fleet: Inventory, window: Window, settings: ScoreSettings, *, min_coverage: float
) -> Iterator[CheckResult]:
    """Yield how much of the fleet is measured.

    Args:
        source: of usage.
        fleet: the inventory.
        window: the last day, with the step of a scan.
        settings: of scoring.
        min_coverage: coverage below which a workload is not sized.

    Raises:
        SourceError: the usage cannot be read.
    """
    day, work = _Day(), DeclaredWork()
    for workload, series in zip(fleet.workloads, source.read(fleet.workloads, fleet, window), strict=True):
        day.add(series)
        work.add(workload, series)
        day.count(score_hours(hours_of(series, settings), window, settings, running_pods(workload, fleet)))
    for series in source.read_nodes(list(fleet.nodes.values()), fleet, window):
        day.add(series)
    nodes = sorted(fleet.nodes)
    if nodes:
        yield _nodes(day, nodes)
    if day.signals:
        yield _signals(day, nodes)
    if day.expected_h > 0.0:
        yield _coverage(day, min_coverage)
    yield from work.results()


def _nodes(day: _Day, nodes: Sequence[str]) -> CheckResult:
    silent = [name for name in nodes if not day.signals.get(name)]
    text = f"{len(nodes) - len(silent)} of {len(nodes)} nodes with GPUs have samples of the last day"
    if not silent:
        return CheckResult("usage by node", CheckStatus.OK, text)
    if len(silent) == len(nodes):
        hint = "no series names a pod or a free GPU of this cluster: compare their labels namespace, pod and node"
        if day.dropped:
            hint = (
                f"{day.dropped} values are impossible, such as 4294967295 for a failed reading: see the exporter's log"
            )
        return CheckResult("usage by node", CheckStatus.FAILED, f"{text}: {hint}")
    hint = "check that the exporter runs there (its nodeSelector and tolerations) and that Prometheus scrapes it"
    return CheckResult("usage by node", CheckStatus.WARNING, f"{text}; none of {_few(silent)}: {hint}")


def _signals(day: _Day, nodes: Sequence[str]) -> CheckResult:
    count = Counter(chain.from_iterable(day.signals.get(name, ()) for name in nodes))
    text = ", ".join(f"{signal.value} {count[signal]}" for signal in Signal if count[signal])
    text = f"nodes with each, of {len(nodes)}: {text}"
    weak = [name for name in nodes if 0 < len(_sensors(day.signals.get(name, set()))) < _INDEPENDENT]
    if weak:
        hint = "one sensor stops nothing: export DCGM_FI_PROF_GR_ENGINE_ACTIVE and DCGM_FI_DEV_POWER_USAGE as well"
        return CheckResult("signals", CheckStatus.WARNING, f"{text}; one sensor on {_few(weak)}: {hint}")
    return CheckResult("signals", CheckStatus.OK, text)


def _sensors(signals: set[Signal]) -> set[Sensor]:
    """Return the sensors that can show that a GPU is idle; used memory cannot."""
    return {SIGNALS[signal].sensor for signal in signals} - {Sensor.MEMORY}


def _coverage(day: _Day, min_coverage: float) -> CheckResult:
    share = day.sampled_h / day.expected_h
    text = f"{share:.0%} of {day.expected_h:.0f} allocated GPU-hours have samples"
    if day.silent:
        text += f"; pods with fewer devices than they request: {_few(day.silent)}"
    if share >= min_coverage and not day.silent:
        return CheckResult("coverage of the last day", CheckStatus.OK, text)
    hint = "time without samples counts as use, so less is recommended"
    status = CheckStatus.WARNING if share > 0.0 else CheckStatus.FAILED
    return CheckResult("coverage of the last day", status, f"{text}: {hint}")


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
