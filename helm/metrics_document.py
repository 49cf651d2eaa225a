"""Writes docs/metrics.md from the collectors themselves: `python helm/metrics_document.py`."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, InfoMetricFamily, Metric

from gpuwise.collect import catalogue
from gpuwise.collect.attribution.apportion import Method
from gpuwise.collect.metric import LABELS, Scope
from gpuwise.collect.metric import Metric as NodeMetric
from gpuwise.service.loop import STEPS, LoopWatch
from gpuwise.service.metrics import FleetCollector

DOCUMENT = Path(__file__).parent.parent / "docs" / "metrics.md"

_HEAD = """\
# Metrics

Generated from the code by `python helm/metrics_document.py`. Units are base units and a ratio is 0 to 1. What a device
does not support, and what is not known, is an absent series and never 0.
"""
_NODE = """
## Exporter (`gpuwise exporter`, port 9400)

What a series speaks of decides its labels:

| | labels |
|---|---|
| device labels | {device_labels} |
| card labels | {card_labels} |
| container labels | {container_labels} |

**Devices** are GPUs and MIG instances. One that several pods share has one series for each of them, with the same
value: `max`, never `sum`, over pods. A device that no pod uses, or whose holder the kubelet does not tell, has no
label `pod`. Under MIG there is a device for the card, with its power, and one for each instance, with its memory and
activity.

**Containers** have their part of each device they hold; the parts sum to the device, so here `sum` is right. What
cannot be given to anybody is `unattributed`, and a part is 0 only where the device, or all its processes, say so. How a
part was found is its `method`: {methods}.

**`source`** of an activity says how far to trust it: `gpm` are hardware counters over the whole time between two
sweeps; `utilization_rates` is the driver's last sampling period, and says that any kernel ran; `process_samples` are
the driver's samples of each process, added up.

**Age.** Each device has the time of its last reading. Where the last sweep is older than three intervals, all else of
the devices is withdrawn. A GPU that fell off keeps its time and has `gpuwise_gpu_up` 0.

**Errors.** `code` is NVML's own name of an error, `DEVICES_NOT_LISTED` or `POD_RESOURCES_UNAVAILABLE`.

**Series** is how many there are at most for one device (and holder), card, part or node. A node of 8 GPUs with 7
MIG instances each and 56 pods has at most {budget:,} of devices and containers; `--max-series` (10,000) holds any node
to a budget by leaving out whole metrics, the last of this table first, and says which.

"""
_FLEET = """
## Service (`gpuwise serve`, port 8080)

Numbers of the latest report, absent before the first, and how the steps of the loop fare. Money is US dollars.
"""


_COLUMNS = "| metric | type | labels | meaning | series |\n|---|---|---|---|---|\n"
_SCOPES = {
    Scope.DEVICE: "device labels",
    Scope.CARD: "card labels",
    Scope.CONTAINER: "container labels",
    Scope.NODE: "",
}
# The node that the budget is stated for. Each part of a device has an unattributed rest beside it.
_CARDS, _INSTANCES = 8, 56
_MOST_OF = {
    Scope.DEVICE: _CARDS + _INSTANCES,
    Scope.CARD: _CARDS,
    Scope.CONTAINER: 2 * (_CARDS + _INSTANCES),
}
_OF_INSTANCES = (catalogue.MIG_INFO, catalogue.UP)


def budget() -> int:
    """Series of devices and containers that a node of 8 cards with 7 instances each has at most."""
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
        # Its only record of a family's labels; all of its families have it, though its base class does not say so.
        labels = tuple(family._labelnames)  # type: ignore[attr-defined]  # noqa: SLF001
        yield f"| `{family.name}{suffix}` | {family.type} | {_quoted(labels)} | {family.documentation} |\n"


def _loop_rows() -> Iterator[str]:
    for family in LoopWatch(0).describe():
        suffix = "_total" if family.type == "counter" else ""
        yield f"| `{family.name}{suffix}` | {family.type} | `step` | {family.documentation} |\n"


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
            *_loop_rows(),
            f"\nSteps: {_quoted(STEPS)}.\n",
        ]
    )


if __name__ == "__main__":
    DOCUMENT.write_text(build())
