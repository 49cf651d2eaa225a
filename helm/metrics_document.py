"""Writes docs/metrics.md from the collectors themselves: `python helm/metrics_document.py`."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, InfoMetricFamily, Metric

from gpuwise.collect import catalogue
from gpuwise.collect.attribution.apportion import Method
from gpuwise.collect.metric import LABELS, Scope
from gpuwise.collect.metric import Metric as NodeMetric
from gpuwise.service.leading import LeaderCollector
from gpuwise.service.loop import STEPS, LoopWatch
from gpuwise.service.metrics import FleetCollector
from gpuwise.service.pass_requests import RESULTS, PassRequests

DOCUMENT = Path(__file__).parent.parent / "docs" / "metrics.md"

_HEAD = """\
# Metrics

Generated from the code by `python helm/metrics_document.py`. Units are base units, and a ratio is 0 to 1. A value that
the device does not support or that is not known has no series; it is never exported as 0.
"""
_NODE = """
## Exporter (`gpuwise exporter`, port 9400)

The labels of a series depend on its scope:

| | labels |
|---|---|
| device labels | {device_labels} |
| card labels | {card_labels} |
| container labels | {container_labels} |

**Device** metrics describe GPUs and MIG instances. A device that several pods share has one series for each pod, all
with the same value: aggregate over pods with `max`, never with `sum`. A device that is not allocated to a pod, or whose
pod the kubelet does not report, has no label `pod`. In MIG mode the card is one device, with the power, and each
instance is another, with its own memory and activity.

**Container** metrics describe the part of each device that a container uses. The parts of a device add up to the
device, so here `sum` is correct. The part that cannot be attributed to a container has the method `unattributed`. A
part is 0 only if the device, or each of its processes, reports 0. The label `method` names how a part was determined:
{methods}.

**`source`** names where an activity value comes from, and so how precise it is. `gpm`: hardware counters over the whole
time between two sweeps. `utilization_rates`: the driver's last sampling period; it shows only whether any kernel ran.
`process_samples`: the driver's samples of each process, added up.

**Age.** Each device exports the time of its last reading. If the last sweep is older than three intervals, all other
series of the devices are withdrawn. A GPU that stops responding keeps this time, and its `gpuwise_gpu_up` is 0.

**Errors.** `code` is the NVML name of the error, or `DEVICES_NOT_LISTED` or `POD_RESOURCES_UNAVAILABLE`.

**Series** is the maximum number of series for one device (and pod), card, part or node. A node of 8 GPUs with 7 MIG
instances each and 56 pods has at most {budget:,} series of devices and containers. `--max-series` (default 10,000)
limits the series of a node: whole metrics are left out, the last in this table first.
`gpuwise_exporter_dropped_series` names them.

"""
_FLEET = """
## Service (`gpuwise serve`, port 8080)

Values of the latest report, which are absent before the first report, and the state of each step of the loop. Amounts
of money are in US dollars.
"""


_COLUMNS = "| metric | type | labels | meaning | series |\n|---|---|---|---|---|\n"
_SCOPES = {
    Scope.DEVICE: "device labels",
    Scope.CARD: "card labels",
    Scope.CONTAINER: "container labels",
    Scope.NODE: "",
}
# The node that the budget is computed for. Each part of a device can have an unattributed part next to it.
_CARDS, _INSTANCES = 8, 56
_MOST_OF = {
    Scope.DEVICE: _CARDS + _INSTANCES,
    Scope.CARD: _CARDS,
    Scope.CONTAINER: 2 * (_CARDS + _INSTANCES),
}
_OF_INSTANCES = (catalogue.MIG_INFO, catalogue.UP)


def budget() -> int:
    """The maximum number of device and container series on a node of 8 cards with 7 instances each."""
    cards = sum(_MOST_OF[metric.scope] * metric.most for metric in catalogue.METRICS)
    return cards + sum(_INSTANCES * metric.most for metric in _OF_INSTANCES)


def _node_rows(metrics: Iterable[NodeMetric]) -> Iterator[str]:
    yield _COLUMNS
    for metric in metrics:
        scope = _SCOPES[metric.scope]
        labels = ", ".join(filter(None, (scope, _quoted(metric.labels))))
        yield f"| `{metric.name}` | {metric.kind} | {labels} | {metric.help} | {metric.most} |\n"


def _rows(families: Iterator[Metric]) -> Iterator[str]:
    yield "| metric | type | labels | meaning |\n|---|---|---|---|\n"
    for family in families:
        suffix = {CounterMetricFamily: "_total", InfoMetricFamily: "_info"}.get(type(family), "")
        # prometheus_client keeps the labels only here. All families have it; their base class does not declare it.
        labels = tuple(family._labelnames)  # type: ignore[attr-defined]  # noqa: SLF001
        yield f"| `{family.name}{suffix}` | {family.type} | {_quoted(labels)} | {family.documentation} |\n"


def _without_head(rows: Iterator[str]) -> Iterator[str]:
    next(rows)
    return rows


def _loop_rows() -> Iterator[str]:
    for collector, label in ((LoopWatch(0), "step"), (PassRequests(0), "result")):
        for family in collector.describe():
            suffix = "_total" if family.type == "counter" else ""
            yield f"| `{family.name}{suffix}` | {family.type} | `{label}` | {family.documentation} |\n"


def _quoted(labels: Iterable[str]) -> str:
    return ", ".join(f"`{label}`" for label in labels)


def build() -> str:
    """The document as Markdown text."""
    fleet = FleetCollector(lambda: None)
    node = _NODE.format(
        device_labels=_quoted(LABELS[Scope.DEVICE]),
        card_labels=_quoted(LABELS[Scope.CARD]),
        container_labels=_quoted(LABELS[Scope.CONTAINER]),
        methods=_quoted(method.value for method in Method),
        budget=budget(),
    )
    return "".join(
        [
            _HEAD,
            node,
            *_node_rows((*catalogue.METRICS, *catalogue.OWN_METRICS)),
            _FLEET,
            "\n",
            *_rows(fleet.describe()),
            *_without_head(_rows(LeaderCollector(lambda: None).describe())),
            *_loop_rows(),
            f"\nSteps: {_quoted(STEPS)}. Results: {_quoted(RESULTS)}.\n",
        ]
    )


if __name__ == "__main__":
    DOCUMENT.write_text(build())
