"""Responses of Prometheus' JSON API. A response that is incomplete or malformed is a SourceError."""

import gc
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuwise.sources.prometheus.refusals import failed, malformed, partial

VICTORIA_METRICS_HEADER = "X-Server-Hostname"
"""VictoriaMetrics sends it with each response."""

# Prometheus 2.48 to 2.53 and Thanos put notes about the query beside the warnings (prometheus#14327, thanos#7597).
_ADVICE = "PromQL info:"


@dataclass(frozen=True, slots=True)
class Series:
    """One series of a range query.

    Attributes:
        labels: its labels.
        at_s: evaluation times, epoch seconds, shape (samples,).
        values: float64 of the same shape.
    """

    labels: Mapping[str, str]
    at_s: NDArray[np.float64]
    values: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Build:
    """What a server reports about itself.

    Attributes:
        name: of the software.
        version: its version, None if it reports none.
    """

    name: str
    version: str | None


@dataclass(frozen=True, slots=True)
class Answer:
    """The body of a response with status 200.

    Attributes:
        shown: the server's URL without secrets, for messages.
        content: the body.
        headers: of the response.
    """

    shown: str
    content: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    def matrix(self) -> list[Series]:
        """Parse the response to a range query.

        Raises:
            SourceError: it is not a complete matrix.
        """
        try:
            with _no_collection():
                return [_series(entry) for entry in self._result("matrix")]
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise malformed(self.shown, f"a matrix entry: {error}") from error

    def vector(self) -> list[tuple[Mapping[str, str], float]]:
        """Parse the response to an instant query.

        Raises:
            SourceError: it is not a complete vector.
        """
        try:
            return [(_labels(entry), _number(entry["value"][1])) for entry in self._result("vector")]
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise malformed(self.shown, f"a vector entry: {error}") from error

    def strings(self, what: str) -> list[str]:
        """Parse a list of strings.

        Raises:
            SourceError: it is not a list of strings.
        """
        values = self._list()
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise malformed(self.shown, what)
        return values

    def label_sets(self) -> list[dict[str, str]]:
        """Parse the label sets of series.

        Raises:
            SourceError: it is not a list of label sets.
        """
        found = self._list()
        if not isinstance(found, list) or not all(isinstance(labels, dict) for labels in found):
            raise malformed(self.shown, "series")
        return [{str(name): str(value) for name, value in labels.items()} for labels in found]

    def help_texts(self, metric: str) -> list[str]:
        """Parse the HELP texts of a metric.

        Raises:
            SourceError: it is not complete metadata.
        """
        data = self._data()
        data = {} if data is None else data
        entries = data.get(metric, []) if isinstance(data, dict) else None
        if not isinstance(entries, list):
            raise malformed(self.shown, f"metadata of {metric}")
        return [str(entry["help"]) for entry in entries if isinstance(entry, dict) and entry.get("help")]

    def build(self) -> Build:
        """Parse what the server reports about itself.

        VictoriaMetrics reports no version, and puts a header of its own into each response. Mimir names itself. Thanos
        has versions below 1, Prometheus from 2 on.

        Raises:
            SourceError: it is not build information.
        """
        data = self._data()
        if not isinstance(data, dict):
            raise malformed(self.shown, "build information")
        version = str(data.get("version") or "") or None
        if data.get("application"):
            return Build(str(data["application"]), version)
        if VICTORIA_METRICS_HEADER in self.headers:
            return Build("VictoriaMetrics", None)
        return Build("Thanos" if version is not None and version.startswith("0.") else "Prometheus", version)

    def _list(self) -> Any:
        """Return the data, where null is Go's empty list: Thanos and its query frontend send it (thanos#1325)."""
        data = self._data()
        return [] if data is None else data

    def _result(self, kind: str) -> list[Any]:
        data = self._data()
        # Google's frontend and Cortex send null, and Cortex no type, for a result without series
        # (prometheus-engine#1645, cortex#1142).
        if isinstance(data, dict) and "result" in data and data["result"] is None:
            return []
        if not isinstance(data, dict) or data.get("resultType") != kind or not isinstance(data.get("result"), list):
            raise malformed(self.shown, f"no {kind}")
        result: list[Any] = data["result"]
        return result

    def _data(self) -> Any:
        try:
            body = json.loads(self.content)
        except (ValueError, RecursionError) as error:
            raise malformed(self.shown, str(error)) from error
        if not isinstance(body, dict) or body.get("status") != "success" or "data" not in body:
            error_text = body.get("error") if isinstance(body, dict) else None
            raise failed(self.shown, str(error_text or "no reason given"))
        data = body["data"]
        # Versions of Thanos put warnings beside the data or into it. VictoriaMetrics cluster sets isPartial.
        warnings = body.get("warnings") or (data.get("warnings") if isinstance(data, dict) else None)
        if isinstance(warnings, list):
            warnings = [one for one in warnings if not str(one).startswith(_ADVICE)]
        if warnings or body.get("isPartial"):
            raise partial(self.shown, str(warnings or "isPartial"))
        return data


@contextmanager
def _no_collection() -> Iterator[None]:
    """Pause the collection of cycles: it visits the growing tree again and again, two thirds of the time of parsing."""
    paused = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if paused:
            gc.enable()


def _series(entry: Any) -> Series:
    # A native histogram is no value of a metric that is read here: what it should have been is missing.
    pairs = entry.get("values", []) if "histograms" in entry else entry["values"]
    times, texts = zip(*pairs, strict=True) if pairs else ((), ())
    _all(times, {int, float}, "a time")
    _all(texts, {str}, "a sample")  # Prometheus sends samples as strings, because JSON has no NaN and Inf
    at_s = np.array(times, dtype=np.float64)
    return Series(_labels(entry), at_s, np.fromiter(map(float, texts), np.float64, len(texts)))


def _all(values: Sequence[object], types: set[type], what: str) -> None:
    """Check the types of values: by a set, because a call for each value takes twice as long as parsing the JSON.

    Raises:
        TypeError: a value has another type, such as bool.
    """
    if not set(map(type, values)) <= types:
        other = next(value for value in values if type(value) not in types)
        raise TypeError(f"{other!r} is not {what}")


def _labels(entry: Any) -> dict[str, str]:
    labels = entry["metric"]
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        raise TypeError("labels are not strings")
    return labels


def _number(value: Any) -> float:
    """Parse a sample: Prometheus sends samples as strings, because JSON has no NaN and Inf."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a sample")
    return float(value)
