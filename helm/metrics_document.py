"""Writes docs/metrics.md from the collectors themselves: `python helm/metrics_document.py`."""

from collections.abc import Iterator
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, InfoMetricFamily, Metric

from gpuwise.collect.exposition import DEVICE_LABELS, NodeCollector
from gpuwise.collect.sampler import Sampler
from gpuwise.collect.sweep import Sweep
from gpuwise.service.metrics import FleetCollector

DOCUMENT = Path(__file__).parent.parent / "docs" / "metrics.md"

_HEAD = """\
# Metrics

Generated from the code by `python helm/metrics_document.py`. Units are base units and a ratio is 0 to 1. What a device
does not support, and what is not known, is an absent series and never 0.
"""
_NODE = """
## Exporter (`gpuwise exporter`, port 9400)

The device labels are {device_labels}.

A device that several pods share has one series for each of them, with the same value: `max`, never `sum`, over pods.
A device that no pod holds, or whose holder the kubelet does not tell, has no label `pod`. Under MIG there is a device
for the card, with its power, and one for each instance, with its memory and activity. Where the last sweep is older
than three intervals, the devices' series are withdrawn and only `gpuwise_gpu_sample_timestamp_seconds` stays.

`code` is NVML's own name of an error, `DEVICES_NOT_LISTED` or `POD_RESOURCES_UNAVAILABLE`.
"""
_FLEET = """
## Service (`gpuwise serve`, port 8080)

Numbers of the latest weekly report; before the first there are none. Money is US dollars.
"""


class _NoDevices:
    """A node without GPUs, whose families are those of any node."""

    def sweep(self, at_s: float) -> Sweep:
        """Nothing, at that instant."""
        del at_s
        return Sweep((), (), ())


def _rows(families: Iterator[Metric]) -> Iterator[str]:
    yield "| metric | type | labels | meaning |\n|---|---|---|---|\n"
    for family in families:
        suffix = {CounterMetricFamily: "_total", InfoMetricFamily: "_info"}.get(type(family), "")
        # Its only record of a family's labels; all of its families have it, though its base class does not say so.
        labels = tuple(family._labelnames)  # type: ignore[attr-defined]  # noqa: SLF001
        shown = "device labels" if labels == DEVICE_LABELS else _quoted(labels)
        yield f"| `{family.name}{suffix}` | {family.type} | {shown} | {family.documentation} |\n"


def _quoted(labels: tuple[str, ...]) -> str:
    return ", ".join(f"`{label}`" for label in labels)


def build() -> str:
    """The document as Markdown text."""
    node = NodeCollector(Sampler(_NoDevices(), None, interval_s=10), node="")
    fleet = FleetCollector(lambda: None)
    return "".join(
        [
            _HEAD,
            _NODE.format(device_labels=_quoted(DEVICE_LABELS)),
            "\n",
            *_rows(node.describe()),
            _FLEET,
            "\n",
            *_rows(fleet.describe()),
        ]
    )


if __name__ == "__main__":
    DOCUMENT.write_text(build())
