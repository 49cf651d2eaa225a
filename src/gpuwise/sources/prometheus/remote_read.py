"""Series by remote read: Prometheus sends its stored chunks, and this module reduces them to the grid.

At most one frame and one series are in memory at a time. Each series has the server's external labels. If a remote
store behind the server fails, that is only in the server's log and not in the response: its samples are then missing,
which never leads to a bolder change.
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.usage import Window
from gpuwise.sources.prometheus._chunks import reduce_chunks
from gpuwise.sources.prometheus._chunks_py import PADDING
from gpuwise.sources.prometheus.client import PrometheusClient
from gpuwise.sources.prometheus.messages import HISTOGRAMS, XOR, Malformed, frames, read_request
from gpuwise.sources.prometheus.refusals import TooMuchAsked, malformed
from gpuwise.sources.prometheus.series import GridSeries, Reduce, Selection


class RemoteRead:
    """Implements `SeriesReader` with remote read, in parts of the window if the server refuses the whole one.

    Args:
        client: client of the server.
        least_s: a part of this length or less is not divided again, seconds.
    """

    def __init__(self, client: PrometheusClient, *, least_s: int = 0) -> None:
        self._client = client
        self._least_s = least_s
        self._most_steps: int | None = None

    def series(self, selections: Sequence[Selection], window: Window) -> Iterator[GridSeries]:
        """See the port; NotOffered is raised before the first series of a selection."""
        for selection in (selection for selection in selections if selection.names):
            done = 0
            while done < window.steps:
                steps = min(self._most_steps or window.steps, window.steps - done)
                try:
                    yield from self._part(selection, window, range(done, done + steps))
                    done += steps
                except TooMuchAsked:
                    if steps == 1 or steps * window.step_s <= self._least_s:
                        raise
                    self._most_steps = steps // 2

    def _part(self, selection: Selection, window: Window, steps: range) -> Iterator[GridSeries]:
        start_s = window.start_s + steps.start * window.step_s
        part = Window(start_s, start_s + len(steps) * window.step_s, window.step_s)
        with self._client.remote_read(read_request(selection, part)) as pieces:
            try:
                for series in _whole_series(pieces, selection, part):
                    values = np.full(window.steps, np.nan)
                    values[steps.start : steps.stop] = series.values
                    yield GridSeries(series.labels, values)
            except Malformed as error:
                raise malformed(self._client.shown_url, str(error)) from error


def _whole_series(pieces: Iterable[bytes], selection: Selection, window: Window) -> Iterator[GridSeries]:
    """Join the frames of a series, which arrive one after the other."""
    current: GridSeries | None = None
    for frame in frames(pieces):
        for part in frame.chunked_series:
            labels = _labels(part, selection)
            if current is None or current.labels != labels:
                if current is not None:
                    yield current
                current = GridSeries(labels, np.full(window.steps, np.nan))
            _reduce(part, current.values, selection, window)
    if current is not None:
        yield current


def _labels(part: Any, selection: Selection) -> dict[str, str]:
    labels = {label.name: label.value for label in part.labels}
    if labels.get("__name__") not in selection.names:
        raise Malformed(f"a series that was not requested: {labels.get('__name__')!r}")
    return labels


def _reduce(part: Any, values: NDArray[np.float64], selection: Selection, window: Window) -> None:
    data = []
    for chunk in part.chunks:
        if chunk.type == XOR:
            data.append(chunk.data)
        elif chunk.type not in HISTOGRAMS:  # no value of a metric that is read here: what it should be is missing
            raise Malformed(f"a chunk of the unknown type {chunk.type}")
    found = reduce_chunks(
        b"".join((*data, bytes(PADDING))),
        array("q", accumulate(map(len, data))),
        values,
        window.start_s * 1000,
        window.step_s * 1000,
        selection.reduce is Reduce.MIN,
    )
    if found < 0:
        raise Malformed(f"chunk {-found} of {len(data)} is damaged")
