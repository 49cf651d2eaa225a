"""Prometheus' HTTP API; the only file that knows httpx.

Whatever is not a whole, well-formed answer is a SourceError: an error never becomes an empty list.
"""

import json
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, Self
from urllib.parse import urlsplit

import httpx
import numpy as np
from numpy.typing import NDArray

from gpuwise.model.errors import InputError, SourceError

Transport = httpx.BaseTransport

RETRIES = 2
_RETRIED_STATUS = frozenset({429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class PrometheusSettings:
    """Which Prometheus, and how to be let in.

    Attributes:
        url: its base, as "http://prometheus.monitoring:9090"; a path before /api is kept (Thanos, Mimir).
        bearer_token: sent with each request, None for none.
        ca_file: certificates to trust instead of the system's, None for the system's.
        timeout_s: longest wait for one answer.
        backoff_s: wait before the first retry; it doubles.
    """

    url: str
    bearer_token: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    timeout_s: float = 60.0
    backoff_s: float = 0.5

    @property
    def shown_url(self) -> str:
        """The URL as it may be shown: without a password.

        Raises:
            InputError: it is no http URL.
        """
        mend = "give --prometheus as http://host:port"
        try:
            parts = urlsplit(self.url)
            _ = parts.port
        except ValueError as error:
            raise InputError(f"the Prometheus URL is none: {error}", mend=mend) from error
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise InputError("the Prometheus URL is no http or https URL", mend=mend)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


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


class PrometheusClient:
    """A connection to one Prometheus; a context manager.

    Args:
        settings: which.
        transport: what carries the requests instead of the network, for tests.

    Raises:
        InputError: the URL is none, the token cannot be sent, or the certificates cannot be read.
    """

    def __init__(self, settings: PrometheusSettings, *, transport: Transport | None = None) -> None:
        self._settings = settings
        self._shown = settings.shown_url
        self._http = httpx.Client(
            headers=_authorization(settings.bearer_token),
            timeout=settings.timeout_s,
            verify=_trust(settings.ca_file),
            transport=transport,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def range(self, query: str, *, start_s: float, end_s: float, step_s: int) -> list[Series]:
        """Evaluate a query at start, start + step, ... up to end.

        Raises:
            SourceError: anything but a whole matrix.
        """
        form = {"query": query, "start": f"{start_s:.3f}", "end": f"{end_s:.3f}", "step": str(step_s)}
        data = self._ask("POST", "query_range", form)
        return [self._series(entry) for entry in self._result(data, "matrix")]

    def instant(self, query: str) -> list[tuple[Mapping[str, str], float]]:
        """Evaluate a query now.

        Raises:
            SourceError: anything but a whole vector.
        """
        entries = self._result(self._ask("POST", "query", {"query": query}), "vector")
        try:
            return [(_labels(entry), _number(entry["value"][1])) for entry in entries]
        except (KeyError, TypeError, ValueError, IndexError) as error:
            self._malformed(f"a vector entry: {error}", error)

    def label_values(self, label: str, *, match: str, start_s: int, end_s: int) -> list[str]:
        """The values that a label has among the series that match.

        Raises:
            SourceError: anything but a whole list of strings.
        """
        parameters = {"match[]": match, "start": str(start_s), "end": str(end_s)}
        values = self._ask("GET", f"label/{label}/values", parameters)
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            self._malformed(f"values of {label}")
        return values

    def help_texts(self, metric: str) -> list[str]:
        """The HELP texts of a metric by the targets that are scraped now; empty where none has it.

        Raises:
            SourceError: anything but a whole answer, or a server that keeps no metadata.
        """
        data = self._ask("GET", "metadata", {"metric": metric})
        entries = data.get(metric, []) if isinstance(data, dict) else None
        if not isinstance(entries, list):
            self._malformed(f"metadata of {metric}")
        return [str(entry["help"]) for entry in entries if isinstance(entry, dict) and entry.get("help")]

    def _ask(self, method: str, path: str, parameters: dict[str, str]) -> Any:
        response = self._send(method, path, parameters)
        try:
            body = json.loads(response.content)
        except (ValueError, RecursionError) as error:
            self._refused_or_malformed(response, str(error), error)
        if response.status_code != httpx.codes.OK:
            self._refused_or_malformed(response, _error_text(body))
        if not isinstance(body, dict) or body.get("status") != "success" or "data" not in body:
            self._malformed(_error_text(body))
        if body.get("warnings"):
            raise SourceError(
                f"Prometheus at {self._shown} answered in part: {str(body['warnings'])[:300]}",
                mend="mend the store that it names, then run again: partial data is not used",
            )
        return body["data"]

    def _send(self, method: str, path: str, parameters: dict[str, str]) -> httpx.Response:
        """One request; refused connections, 429 and 5xx are tried again."""
        url = f"{self._settings.url.rstrip('/')}/api/v1/{path}"
        in_url = method == "GET"
        for attempt in range(RETRIES + 1):
            last = attempt == RETRIES
            try:
                response = self._http.request(
                    method, url, params=parameters if in_url else None, data=None if in_url else parameters
                )
            except httpx.HTTPError as error:
                if last or not isinstance(error, httpx.ConnectError):
                    raise SourceError(
                        f"Prometheus at {self._shown} cannot be reached: {str(error) or type(error).__name__}",
                        mend="check --prometheus, and that it answers from here",
                    ) from error
            else:
                if last or response.status_code not in _RETRIED_STATUS:
                    return response
            time.sleep(self._settings.backoff_s * 2**attempt)
        raise AssertionError("the last attempt returns or raises")

    def _refused_or_malformed(self, response: httpx.Response, detail: str, cause: Exception | None = None) -> NoReturn:
        status = f"{response.status_code} {response.reason_phrase}"
        match response.status_code:
            case 200:
                self._malformed(detail, cause)
            case 401 | 403:
                mend = "check --prometheus-token-file"
            case 404 | 301 | 302 | 307 | 308:
                mend = "give the base of its API as --prometheus, without /api/v1, and no login page before it"
            case 400 | 422:
                mend = "if it speaks of too many samples, shorten the window or raise its --query.max-samples"
            case _:
                mend = "look at its log, then run again"
        raise SourceError(f"Prometheus at {self._shown} refused: {status}: {detail}", mend=mend) from cause

    def _malformed(self, detail: str, cause: Exception | None = None) -> NoReturn:
        raise SourceError(
            f"Prometheus at {self._shown} sent no whole answer: {detail}",
            mend="check that --prometheus is Prometheus itself and not a page before it",
        ) from cause

    def _result(self, data: Any, kind: str) -> list[Any]:
        if not isinstance(data, dict) or data.get("resultType") != kind or not isinstance(data.get("result"), list):
            self._malformed(f"no {kind}")
        result: list[Any] = data["result"]
        return result

    def _series(self, entry: Any) -> Series:
        try:
            pairs = entry["values"]
            at_s = np.array([_time(at) for at, _ in pairs], dtype=np.float64)
            values = np.array([_number(value) for _, value in pairs], dtype=np.float64)
            return Series(_labels(entry), at_s, values)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            self._malformed(f"a matrix entry: {error}", error)


def _labels(entry: Any) -> dict[str, str]:
    labels = entry["metric"]
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        raise TypeError("labels are no strings")
    return labels


def _time(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no time")
    return float(value)


def _number(value: Any) -> float:
    """Prometheus sends samples as strings, so that NaN and Inf survive JSON."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no sample")
    return float(value)


def _error_text(body: Any) -> str:
    text = body.get("error") if isinstance(body, dict) else None
    return str(text or "no reason given")[:300]


def _authorization(token: str | None) -> dict[str, str]:
    """The header that shows the token; a file's last newline is no part of it."""
    if token is None:
        return {}
    bare = token.strip()
    if not bare or not bare.isascii() or not bare.isprintable():
        raise InputError("the Prometheus token is empty or no plain text", mend="check --prometheus-token-file")
    return {"Authorization": f"Bearer {bare}"}


def _trust(ca_file: Path | None) -> ssl.SSLContext | bool:
    if ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=str(ca_file))
    except OSError as error:
        raise InputError(f"{ca_file} holds no certificates: {error}", mend="name a PEM file") from error
