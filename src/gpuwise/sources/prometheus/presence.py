"""Which metrics a server has, on servers that select names by a pattern and on those that do not.

Google Managed Service for Prometheus evaluates only exact metric names and answers a pattern with 400 "=~ is an
unsupported matchtype for the __name__ label" (prometheus-engine#1601). Azure Monitor requires one exact name in every
query (learn.microsoft.com, "Query Prometheus metrics using the API and PromQL"), and Cortex' chunk store a name
(cortex#1079). The texts differ, so any such refusal of a pattern is followed by requests with exact names.
"""

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from gpuwise.model.errors import SourceError
from gpuwise.model.hours import HOUR_S
from gpuwise.model.usage import Window
from gpuwise.sources.prometheus.client import PrometheusClient
from gpuwise.sources.prometheus.names import any_of, quoted, selector, translated
from gpuwise.sources.prometheus.refusals import NotEvaluated, TooMuchAsked, TooSlow
from gpuwise.sources.prometheus.samples import ranges

Item = TypeVar("Item", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Present:
    """The metrics with series in a window.

    Attributes:
        names: their names.
        selectors: PromQL selectors that together select all series of these metrics.
    """

    names: frozenset[str]
    selectors: tuple[str, ...]


def present(client: PrometheusClient, names: Collection[str], window: Window) -> Present:
    """Return which of these metrics have series in the window.

    Args:
        client: client of the server; its matchers select the series.
        names: metric names.
        window: when.

    Raises:
        SourceError: a response is not complete, or the server selects names neither by a pattern nor exactly.
    """
    pattern = by_pattern(names, client.settings.matchers)
    try:
        found = label_values(client, "__name__", pattern, window)
        return Present(frozenset(found), (pattern,))
    except TooSlow:
        raise
    except (NotEvaluated, TooMuchAsked) as error:  # VictoriaMetrics limits the series of a pattern
        exact = {name: by_name(name, client.settings.matchers) for name in sorted(names)}
        try:
            there = [name for name, one in exact.items() if has_series(client, one, window)]
        except NotEvaluated as second:
            raise SourceError(
                f"{error.problem}. With one exact name: {second.problem}",
                hint="this server cannot be read: set --prometheus to one that selects series by metric name",
            ) from second
        return Present(frozenset(there), tuple(exact[name] for name in there))


def count_by_name(client: PrometheusClient, names: Collection[str]) -> dict[str, int]:
    """Return how many series each of these metrics has now.

    Raises:
        SourceError: as `present`.
    """
    matchers = client.settings.matchers
    try:
        rows = client.instant(f"count by (__name__) ({by_pattern(names, matchers)})")
        return {labels.get("__name__", ""): _whole(count) for labels, count in rows}
    except NotEvaluated:
        counts = ((name, client.instant(f"count({by_name(name, matchers)})")) for name in sorted(names))
        return {name: _whole(count) for name, rows in counts for _, count in rows}


def label_values(client: PrometheusClient, label: str, match: str, window: Window) -> set[str]:
    """Return the values of a label, in parts of the window if the server refuses the whole one.

    Raises:
        SourceError: as the client's.
    """
    return _in_parts(
        lambda start_s, end_s: client.label_values(label, match=match, start_s=start_s, end_s=end_s), window
    )


def label_names(client: PrometheusClient, match: str, window: Window) -> set[str]:
    """Return the names of labels, in parts of the window if the server refuses the whole one.

    Raises:
        SourceError: as the client's.
    """
    return _in_parts(lambda start_s, end_s: client.label_names(match=match, start_s=start_s, end_s=end_s), window)


def label_sets(
    client: PrometheusClient, names: Collection[str], condition: str, labels: Collection[str], window: Window
) -> Iterator[Mapping[str, str]]:
    """Yield the label sets of the series of these metrics in the window; some may have no sample in it.

    Args:
        client: client of the server; its matchers select the series.
        names: metric names.
        condition: another condition of the selector, "" for none.
        labels: the labels that are needed; a server that lists no series yields only these.
        window: when.

    Raises:
        SourceError: as the client's.
    """
    matchers = client.settings.matchers
    every = _series(client, narrowed(by_pattern(names, matchers), condition), window)
    if every is not None:
        yield from every
        return
    for name in sorted(names):
        match = narrowed(by_name(name, matchers), condition)
        of_name = _series(client, match, window)
        yield from values_in_series(client, labels, match, window) if of_name is None else of_name


def _series(client: PrometheusClient, match: str, window: Window) -> list[Mapping[str, str]] | None:
    """Return the label sets of the matching series, or None if the server lists them in no part of the window."""
    try:
        return _listed(client, match, window)
    except TooSlow:
        raise
    except (NotEvaluated, TooMuchAsked):
        return None


def _listed(client: PrometheusClient, match: str, window: Window) -> list[Mapping[str, str]]:
    found = _in_parts(
        lambda start_s, end_s: map(
            frozenset[tuple[str, str]],
            (labels.items() for labels in client.label_sets(match=match, start_s=start_s, end_s=end_s)),
        ),
        window,
    )
    return [dict(items) for items in found]


def narrowed(match: str, condition: str) -> str:
    """Return a selector with another condition; "" for none."""
    return f"{match.removesuffix('}')},{condition}}}" if condition else match


def values_in_series(
    client: PrometheusClient, labels: Iterable[str], match: str, window: Window
) -> Iterator[Mapping[str, str]]:
    """Yield the combinations of these labels' values, by a range query, which every server has.

    Raises:
        SourceError: as the client's.
    """
    step_s = -(-max(HOUR_S, window.step_s) // window.step_s) * window.step_s
    hourly = Window(window.start_s - window.start_s % step_s, window.end_s + -window.end_s % step_s, step_s)
    by = ",".join(
        label for label in labels if translated(label)
    )  # the others only Prometheus 3 has, which lists series
    query = f"count {f'by ({by}) ' if by else ''}(last_over_time({match}[{step_s}s]))"
    return (series.labels for series in ranges(client, query, hourly))


def by_pattern(names: Iterable[str], matchers: Mapping[str, str]) -> str:
    """Return a selector of all series of these metrics."""
    return f"{{__name__=~{any_of(names)}{selector(matchers)}}}"


def by_name(name: str, matchers: Mapping[str, str]) -> str:
    """Return a selector of all series of one metric."""
    return f"{{__name__={quoted(name)}{selector(matchers)}}}"


def has_series(client: PrometheusClient, match: str, window: Window) -> bool:
    """Return whether a selector has series in the window.

    Raises:
        SourceError: as the client's.
    """
    try:
        return bool(label_values(client, "__name__", match, window))
    except NotEvaluated:
        return any(True for _ in values_in_series(client, (), match, window))


def _whole(count: float) -> int:
    return int(count) if 1 <= count < float("inf") else 0


def _in_parts(ask: Callable[[int, int], Iterable[Item]], window: Window) -> set[Item]:
    """Return the union of the answers for parts of the window; a server that does not respond is not asked again."""
    found: set[Item] = set()
    spans = [(window.start_s, window.end_s)]
    while spans:
        start_s, end_s = spans.pop()
        try:
            found |= set(ask(start_s, end_s))
        except TooMuchAsked as error:
            if isinstance(error, TooSlow) or end_s - start_s <= HOUR_S:
                raise
            middle_s = (start_s + end_s) // 2
            spans += [(start_s, middle_s), (middle_s, end_s)]
    return found
