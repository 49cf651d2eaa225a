"""The families of a scrape: a metric with its lines in Prometheus' text format, version 0.0.4."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gpuwise.collect.metric import Kind, Metric


@dataclass(slots=True)
class Family:
    """One metric and its series.

    Attributes:
        name: of the metric.
        kind: gauge or counter.
        help: one sentence.
        lines: of the text, one a series.
    """

    name: str
    kind: Kind
    help: str
    lines: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, metric: Metric) -> "Family":
        """The family of a metric, still empty."""
        return cls(metric.name, metric.kind, metric.help)

    def add(self, labels: str, value: float) -> None:
        """Add a series; its labels are written by `pairs`."""
        self.lines.append(f"{self.name}{{{labels}}} {value!r}\n" if labels else f"{self.name} {value!r}\n")


def pairs(names: Sequence[str], values: Sequence[str]) -> str:
    """Labels as they stand between the braces."""
    return ",".join([f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True)])


def text(families: Iterable[Family]) -> str:
    """The families that have series, as text."""
    parts: list[str] = []
    for family in families:
        if family.lines:
            said = family.help.replace("\\", "\\\\").replace("\n", "\\n")
            parts += (f"# HELP {family.name} {said}\n# TYPE {family.name} {family.kind}\n", *family.lines)
    return "".join(parts)


def capped(families: Iterable[Family], most: int) -> tuple[list[Family], Mapping[str, int]]:
    """The families that fit, and how many series of the others were left out, by name.

    A family is shown whole or not at all: a sum over a part of its series would be wrong, and nobody could tell.

    Args:
        families: the more important first.
        most: series of all of them.
    """
    kept: list[Family] = []
    left_out: dict[str, int] = {}
    room = most
    for family in families:
        if len(family.lines) <= room:
            room -= len(family.lines)
            kept.append(family)
        else:
            left_out[family.name] = len(family.lines)
    return kept, left_out


def _escaped(value: str) -> str:
    if "\\" in value or '"' in value or "\n" in value:
        return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return value
