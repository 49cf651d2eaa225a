"""Selections to read: one per set of labels that identify a pod, a device or a node, with all metric names."""

from collections.abc import Collection, Hashable, Iterable, Iterator
from typing import TypeVar

from gpuwise.sources.prometheus.names import (
    METRICS,
    NODE_LABELS,
    POD_LABELS,
    UUID_LABELS,
    literal,
)
from gpuwise.sources.prometheus.series import Match, Matcher, Reduce, Selection

Item = TypeVar("Item", bound=Hashable)

# 200 names of 63 characters make a query of 40 kB, far below the server's limit of 10 MB for a form.
_PER_QUERY = 200
_BY_MINIMUM = frozenset(metric.name for metric in METRICS if metric.reduce is Reduce.MIN)


def chunks(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Yield distinct items in the given order, as many at a time as fit into one query."""
    distinct = list(dict.fromkeys(items))
    for start in range(0, len(distinct), _PER_QUERY):
        yield distinct[start : start + _PER_QUERY]


def by_pod(names: Collection[str], pods: Iterable[tuple[str, str]]) -> list[Selection]:
    """Select series of pods. Pods of the same name in another of these namespaces are included; the reader drops them.

    Args:
        names: metric names.
        pods: namespaces, and regular expressions of pod names in them.
    """
    selections: list[Selection] = []
    for some in chunks(pods):
        spaces = "|".join(dict.fromkeys(literal(namespace) for namespace, _ in some))
        patterns = "|".join(dict.fromkeys(pattern for _, pattern in some))
        for way in POD_LABELS:
            place, pod = Matcher(way.namespace, Match.REGEX, spaces), Matcher(way.pod, Match.REGEX, patterns)
            selections += _select(names, place, pod)
    return selections


def by_uuid(names: Collection[str], uuids: Iterable[str], *, podless: bool = False) -> list[Selection]:
    """Select series of devices; nvidia_gpu_exporter omits "GPU-" in a UUID.

    Args:
        names: metric names.
        uuids: of the devices.
        podless: only series that name no pod.
    """
    without = [Matcher(way.pod, Match.EQUAL, "") for way in POD_LABELS] if podless else []
    return [
        selection
        for some in chunks(uuids)
        for label in UUID_LABELS
        for selection in _select(
            names,
            Matcher(label, Match.REGEX, "|".join(literal(form) for uuid in some for form in _forms(uuid))),
            *without,
        )
    ]


def by_node(names: Collection[str], nodes: Iterable[str]) -> list[Selection]:
    """Select series of all devices of nodes, by a label with the node's name or by the scraped address."""
    selections = []
    for some in chunks(nodes):
        exactly = "|".join(literal(node) for node in some)
        matchers = [Matcher(label, Match.REGEX, exactly) for label in NODE_LABELS]
        matchers.append(Matcher("instance", Match.REGEX, rf"({exactly})(:\d+)?"))
        selections += [one for matcher in matchers for one in _select(names, matcher)]
    return selections


def _forms(uuid: str) -> tuple[str, ...]:
    return (uuid, uuid.removeprefix("GPU-")) if uuid.startswith("GPU-") else (uuid,)


def _select(names: Collection[str], *matchers: Matcher) -> Iterator[Selection]:
    """Yield one selection, and a second one if some of the names are read by their minimum."""
    for reduce in Reduce:
        chosen = tuple(sorted(name for name in names if (name in _BY_MINIMUM) is (reduce is Reduce.MIN)))
        if chosen:
            yield Selection(chosen, matchers, reduce)
