"""The check of `gpuwise doctor` of declared work: whether the counters and the limits that it needs are read."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from gpuwise.model.checks import CheckResult, CheckStatus
from gpuwise.model.declared import bad_work_metric, work_metric
from gpuwise.model.inventory import Workload
from gpuwise.model.signal import Signal
from gpuwise.model.usage import UsageSeries

_NAME = "declared work"
_LIMITS = (
    "the power limit of its GPUs is not sampled: add DCGM_FI_DEV_ENFORCED_POWER_LIMIT to the counters of "
    "dcgm-exporter, or run gpuwise's exporter"
)


@dataclass(slots=True)
class DeclaredWork:
    """What was read of the workloads that declare a counter of their work.

    Attributes:
        read: number of workloads whose counter and limits have samples.
        problems: one line for each of the others.
    """

    read: int = 0
    problems: list[str] = field(default_factory=list)

    def add(self, workload: Workload, series: UsageSeries) -> None:
        """Count a workload; one that declares nothing does not count."""
        bad, metric = bad_work_metric(workload), work_metric(workload)
        # What does not run, or has no GPU that is measured, is reported by other checks.
        runs = bool(workload.active_pods and series.devices)
        problem = bad or (_missing(metric, series) if metric is not None and runs else None)
        if problem is not None:
            self.problems.append(f"{workload.ref}: {problem}")
        elif metric is not None and runs:
            self.read += 1

    def results(self) -> Iterator[CheckResult]:
        """Yield a warning for each problem, and how many workloads have none."""
        for problem in self.problems:
            yield CheckResult(_NAME, CheckStatus.WARNING, problem)
        if self.read:
            text = (
                f"the work of {self.read} workloads, and the power limits of their GPUs, have samples of the last day"
            )
            yield CheckResult(_NAME, CheckStatus.OK, text)


def _missing(metric: str, series: UsageSeries) -> str | None:
    if series.work_per_second is None or not np.isfinite(series.work_per_second).any():
        return (
            f"its counter {metric} has no samples of the last day, or more than 500 series in a pod: "
            "check that Prometheus scrapes its pods"
        )
    limits = (device.samples.get(Signal.POWER_LIMIT) for device in series.devices)
    return None if any(one is not None and np.isfinite(one).any() for one in limits) else _LIMITS
