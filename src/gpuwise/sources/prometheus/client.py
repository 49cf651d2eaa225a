"""Client for Prometheus' HTTP API; the only file besides `delivery.webhook` that uses httpx.

A response that is incomplete or malformed is a SourceError: an error never becomes an empty list.
"""

import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Self

import httpx

from gpuwise import __version__
from gpuwise.model.errors import InputError, SourceError
from gpuwise.sources.prometheus.answers import VICTORIA_METRICS_HEADER, Answer, Build, Series
from gpuwise.sources.prometheus.refusals import (
    TooLong,
    TooMuchAsked,
    malformed,
    not_offered,
    refused,
    took_too_long,
    unreachable,
)
from gpuwise.sources.prometheus.retries import RetryBudget, retry_after_s
from gpuwise.sources.prometheus.settings import PrometheusSettings

__all__ = ["PrometheusClient", "PrometheusSettings", "Series", "Transport"]

Transport = httpx.BaseTransport

RETRIES = 2
_RETRIED_STATUS = frozenset({429, 500, 502, 503, 504})
# About 1.2 million points in JSON, which take about 250 MiB as Python objects.
_MOST_BYTES = 32 * 2**20
# VictoriaMetrics quotes the query before the reason: 200 names of 63 characters make 40 kB.
_REASON_BYTES = 2**18
# https://prometheus.io/docs/prometheus/latest/querying/remote_read_api/
_READ_HEADERS = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "snappy",
    "X-Prometheus-Remote-Read-Version": "0.1.0",
    "Accept-Encoding": "identity",  # XOR chunks are already compressed
}
_STREAMED, _WHOLE = "application/x-streamed-protobuf", "application/x-protobuf"


@dataclass(frozen=True, slots=True)
class _Request:
    path: str
    method: str = "POST"
    parameters: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] | None = None
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Failure:
    problem: SourceError
    retryable: bool
    retry_after_s: float | None = None
    cause: Exception | None = None


class PrometheusClient:
    """A client for one Prometheus; a context manager.

    Args:
        settings: server, authentication, timeouts and retries.
        transport: replaces the network, for tests.
        wait: waits some seconds before a retry; replaceable for tests.

    Raises:
        InputError: the URL is not valid, a token or header cannot be sent, or certificates cannot be read.
    """

    def __init__(
        self,
        settings: PrometheusSettings,
        *,
        transport: Transport | None = None,
        wait: Callable[[float], object] = time.sleep,
    ) -> None:
        self.settings = settings
        self._shown = settings.shown_url
        self._budget = RetryBudget(settings.retry_burst, settings.retry_ratio)
        self._wait = wait
        self._victoria_metrics = False  # known from the first response on
        self._http = httpx.Client(
            headers={"User-Agent": f"gpuwise/{__version__}"} | settings.all_headers,
            auth=settings.basic_auth,
            timeout=settings.timeout_s,
            verify=_tls(settings),
            transport=transport,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    @property
    def shown_url(self) -> str:
        """The server's URL without secrets, for messages."""
        return self._shown

    def range(self, query: str, *, start_s: float, end_s: float, step_s: int) -> list[Series]:
        """Evaluate a query at start, start + step, ... up to end.

        Raises:
            TooMuchAsked: the server may be able to answer a smaller request.
            SourceError: the response is not a complete matrix.
        """
        form = {"query": query, "start": f"{start_s:.3f}", "end": f"{end_s:.3f}", "step": str(step_s)}
        return self._answer(_Request("query_range", form=form | self._uncached())).matrix()

    def instant(self, query: str) -> list[tuple[Mapping[str, str], float]]:
        """Evaluate a query now.

        Raises:
            NotEvaluated: the server does not evaluate queries of this form.
            SourceError: the response is not a complete vector.
        """
        return self._answer(_Request("query", form={"query": query} | self._uncached())).vector()

    def label_values(self, label: str, *, match: str, start_s: int, end_s: int) -> list[str]:
        """Return the values of a label in the matching series.

        Raises:
            TooMuchAsked: the server may be able to answer for a shorter time.
            NotEvaluated: the server does not evaluate the selector, or has no such API.
            SourceError: the response is not a complete list of strings.
        """
        parameters = {"match[]": match, "start": str(start_s), "end": str(end_s)}
        request = _Request(f"label/{label}/values", "GET", parameters)
        return self._answer(request).strings(f"values of {label}")

    def label_sets(self, *, match: str, start_s: int, end_s: int) -> list[dict[str, str]]:
        """Return the label sets of the matching series, from the index alone; some may have no sample in the window.

        Raises:
            TooMuchAsked: the server may be able to answer for a shorter time.
            NotEvaluated: the server does not evaluate the selector, or has no such API.
            SourceError: the response is not a complete list of label sets.
        """
        parameters = {"match[]": match, "start": str(start_s), "end": str(end_s)}
        return self._answer(_Request("series", "GET", parameters)).label_sets()

    def label_names(self, *, match: str, start_s: int, end_s: int) -> list[str]:
        """Return the names of the labels of the matching series.

        Raises:
            TooMuchAsked: the server may be able to answer for a shorter time.
            NotEvaluated: the server does not evaluate the selector, or has no such API.
            SourceError: the response is not a complete list of strings.
        """
        parameters = {"match[]": match, "start": str(start_s), "end": str(end_s)}
        return self._answer(_Request("labels", "GET", parameters)).strings("names of labels")

    def help_texts(self, metric: str) -> list[str]:
        """Return the HELP texts of a metric from the current scrape targets; empty if none has it.

        Raises:
            SourceError: the response is not complete, or the server keeps no metadata.
        """
        return self._answer(_Request("metadata", "GET", {"metric": metric})).help_texts(metric)

    def build(self) -> Build:
        """Return which software the server is.

        Raises:
            SourceError: the server does not report it.
        """
        return self._answer(_Request("status/buildinfo", "GET")).build()

    @contextmanager
    def remote_read(self, body: bytes) -> Iterator[Iterator[bytes]]:
        """Send a remote read request and yield the bytes of the response as they arrive.

        Args:
            body: the request, encoded and compressed.

        Raises:
            NotOffered: the server has no streamed remote read.
            SourceError: any other error, or a stream that is cut off; also raised by the iterator.
        """
        with closing(self._open(_Request("read", body=body, headers=_READ_HEADERS))) as response:
            kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            if kind == _WHOLE:
                raise not_offered(self._shown, "it returns samples and not streamed chunks")
            if kind != _STREAMED:
                raise malformed(self._shown, f"content of type {kind or 'unknown'}")
            yield self._pieces(response)

    def _uncached(self) -> dict[str, str]:
        """Return the parameter with which VictoriaMetrics evaluates exactly what it is asked for.

        Its cache of answers lacks samples that arrived late, and makes it round start and end of a range, and evaluate
        an instant query 30 s (-search.latencyOffset) ago.
        """
        return {"nocache": "1"} if self._victoria_metrics else {}

    def _answer(self, request: _Request) -> Answer:
        content = bytearray()
        with closing(self._open(request)) as response:
            for piece in self._pieces(response):
                content += piece
                if len(content) > _MOST_BYTES:
                    raise TooLong(
                        f"Prometheus at {self._shown} sent a response of more than {_MOST_BYTES >> 20} MiB",
                        hint="shorten the window or lengthen the step",
                    )
        return Answer(self._shown, bytes(content), response.headers)

    def _pieces(self, response: httpx.Response) -> Iterator[bytes]:
        try:
            yield from response.iter_bytes()
        except httpx.HTTPError as error:
            raise self._broken(error) from error

    def _open(self, request: _Request) -> httpx.Response:
        """Send a request and return the open response with status 200; refused connections, 429 and 5xx are retried."""
        self._budget.earn()
        for attempt in range(RETRIES + 1):
            found = self._attempt(request)
            if isinstance(found, httpx.Response):
                return found
            pause_s = self.settings.backoff_s * 2**attempt if found.retry_after_s is None else found.retry_after_s
            retry = found.retryable and attempt < RETRIES and pause_s <= self.settings.longest_wait_s
            if not retry or not self._budget.spend():
                raise found.problem from found.cause
            self._wait(pause_s)
        raise AssertionError("the last attempt returns or raises")

    def _attempt(self, request: _Request) -> "httpx.Response | _Failure":
        try:
            response = self._http.send(self._built(request), stream=True)
        except httpx.HTTPError as error:
            return _Failure(self._broken(error), isinstance(error, httpx.ConnectError), cause=error)
        self._victoria_metrics |= VICTORIA_METRICS_HEADER in response.headers
        if response.status_code == httpx.codes.OK:
            return response
        problem = self._refusal(request, response)
        pause_s = retry_after_s(response.headers)
        # RFC 6585: a 429 that names a time is about how often, whatever its text says.
        too_often = response.status_code == httpx.codes.TOO_MANY_REQUESTS and pause_s is not None
        retryable = response.status_code in _RETRIED_STATUS and (too_often or not isinstance(problem, TooMuchAsked))
        return _Failure(problem, retryable, pause_s)

    def _built(self, request: _Request) -> httpx.Request:
        url = f"{self.settings.url.rstrip('/')}/api/v1/{request.path}"
        return self._http.build_request(
            request.method,
            url,
            params=request.parameters,
            data=request.form,
            content=request.body,
            headers=request.headers,
        )

    def _refusal(self, request: _Request, response: httpx.Response) -> SourceError:
        reason = bytearray()
        with closing(response):
            try:
                for piece in response.iter_bytes(_REASON_BYTES):
                    reason += piece
                    if len(reason) >= _REASON_BYTES:
                        break
            except httpx.HTTPError as error:
                return self._broken(error)
        return refused(self._shown, request.path, response.status_code, response.reason_phrase, bytes(reason))

    def _broken(self, error: httpx.HTTPError) -> SourceError:
        why = str(error) or type(error).__name__
        if isinstance(error, httpx.ReadTimeout):
            return took_too_long(self._shown, why)
        return unreachable(self._shown, why)


def _tls(settings: PrometheusSettings) -> ssl.SSLContext:
    """Build the TLS context: trusted certificates, and the client's certificate."""
    ca, cert, key = settings.ca_file, settings.client_cert_file, settings.client_key_file
    if key and not cert:
        raise InputError(
            "prometheus.client_key_file is set without a certificate", hint="set prometheus.client_cert_file"
        )
    if not (ca or cert or settings.shown_url.startswith("https:")):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # not used; loading the public certificates takes 70 ms
    try:
        context = ssl.create_default_context(cafile=str(ca)) if ca else httpx.create_ssl_context()
    except OSError as error:
        raise InputError(
            f"{ca} contains no certificates: {error}", hint="set prometheus.ca_file to a PEM file"
        ) from error
    if cert:
        try:
            # With an empty password OpenSSL does not prompt for one.
            context.load_cert_chain(cert, key, password="")
        except OSError as error:
            raise InputError(
                f"{cert} and its key cannot be used: {error}",
                hint="set prometheus.client_cert_file and client_key_file to PEM files without a password",
            ) from error
    return context
