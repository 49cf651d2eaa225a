"""Metric families of a scrape: a metric with its series, in Prometheus text format 0.0.4 or OpenMetrics 1.0."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from gpuwise.collect.metric import Kind, Metric
from gpuwise.collect.serve.negotiation import Format

# A page has the labels of the last one, except those of new pods: with 64 devices and 56 pods, about 350 label sets.
_REMEMBERED = 1_024


@dataclass(slots=True)
class Family:
    """One metric and its series.

    Attributes:
        name: of the metric.
        kind: gauge or counter.
        help: one sentence.
        lines: of the text, one per series.
    """

    name: str
    kind: Kind
    help: str
    lines: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, metric: Metric) -> "Family":
        """An empty family for a metric."""
        return cls(metric.name, metric.kind, metric.help)

    def add(self, labels: str, value: float) -> None:
        """Add a series; format its labels with `pairs`."""
        self.lines.append(f"{self.name}{{{labels}}} {value!r}\n" if labels else f"{self.name} {value!r}\n")


@lru_cache(maxsize=_REMEMBERED)
def pairs(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    """Labels as written between the braces."""
    return ",".join([f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True)])


def text(families: Iterable[Family], wanted: Format = Format.TEXT) -> str:
    """The families that have series, without the end mark of OpenMetrics.

    Args:
        families: the metrics.
        wanted: the format.
    """
    parts: list[str] = []
    for family in families:
        if family.lines:
            escaped = family.help.replace("\\", "\\\\").replace("\n", "\\n")
            name, kind = (family.name, str(family.kind)) if wanted is Format.TEXT else _openmetrics(family)
            parts += (f"# HELP {name} {escaped}\n# TYPE {name} {kind}\n", *family.lines)
    return "".join(parts)


def _openmetrics(family: Family) -> tuple[str, str]:
    """Name and type of a family: a counter is named without the suffix of its series, which must have it.

    The counters of dcgm-exporter have no suffix. They keep their names, so they have no type.
    """
    if family.kind is not Kind.COUNTER:
        return family.name, str(family.kind)
    name = family.name.removesuffix("_total")
    return (name, str(family.kind)) if name != family.name else (family.name, "unknown")


def capped(families: Iterable[Family], most: int) -> tuple[list[Family], Mapping[str, int]]:
    """The families within the limit, and the number of series of each family that was left out, by name.

    A family is exposed as a whole or not at all: a sum over a subset of its series would be wrong without notice.

    Args:
        families: the most important first.
        most: maximum number of series of all families together.
    """
    kept: list[Family] = []
    left_out: dict[str, int] = {}
    remaining = most
    for family in families:
        if len(family.lines) <= remaining:
            remaining -= len(family.lines)
            kept.append(family)
        else:
            left_out[family.name] = len(family.lines)
    return kept, left_out


def _escaped(value: str) -> str:
    if "\\" in value or '"' in value or "\n" in value:
        return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return value
