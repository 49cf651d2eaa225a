"""Prometheus' HTTP API; the only file that knows httpx.

Whatever is not a whole, well-formed answer is a SourceError: an error never becomes an empty list.
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
from gpuwise.sources.prometheus.answers import Answer, Series
from gpuwise.sources.prometheus.refusals import (
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
# About 1.2 million points of JSON, which take some 250 MiB once they are Python's objects.
_MOST_BYTES = 32 * 2**20
_REASON_BYTES = 4096
# https://prometheus.io/docs/prometheus/latest/querying/remote_read_api/
_READ_HEADERS = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "snappy",
    "X-Prometheus-Remote-Read-Version": "0.1.0",
    "Accept-Encoding": "identity",  # XOR chunks are dense already
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
    may_pass: bool
    retry_after_s: float | None = None
    cause: Exception | None = None


class PrometheusClient:
    """A connection to one Prometheus; a context manager.

    Args:
        settings: which.
        transport: what carries the requests instead of the network, for tests.
        wait: how to wait some seconds before a retry, for tests.

    Raises:
        InputError: the URL is none, a token or header cannot be sent, or certificates cannot be read.
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
        """Its URL as it may be shown."""
        return self._shown

    def range(self, query: str, *, start_s: float, end_s: float, step_s: int) -> list[Series]:
        """Evaluate a query at start, start + step, ... up to end.

        Raises:
            TooMuchAsked: less might be answered.
            SourceError: anything but a whole matrix.
        """
        form = {"query": query, "start": f"{start_s:.3f}", "end": f"{end_s:.3f}", "step": str(step_s)}
        return self._answer(_Request("query_range", form=form)).matrix()

    def instant(self, query: str) -> list[tuple[Mapping[str, str], float]]:
        """Evaluate a query now.

        Raises:
            SourceError: anything but a whole vector.
        """
        return self._answer(_Request("query", form={"query": query})).vector()

    def label_values(self, label: str, *, match: str, start_s: int, end_s: int) -> list[str]:
        """The values that a label has among the series that match.

        Raises:
            SourceError: anything but a whole list of strings.
        """
        parameters = {"match[]": match, "start": str(start_s), "end": str(end_s)}
        request = _Request(f"label/{label}/values", "GET", parameters)
        return self._answer(request).strings(f"values of {label}")

    def help_texts(self, metric: str) -> list[str]:
        """The HELP texts of a metric by the targets that are scraped now; empty where none has it.

        Raises:
            SourceError: anything but a whole answer, or a server that keeps no metadata.
        """
        return self._answer(_Request("metadata", "GET", {"metric": metric})).help_texts(metric)

    @contextmanager
    def remote_read(self, body: bytes) -> Iterator[Iterator[bytes]]:
        """Send a read request; the answer's bytes come as they arrive.

        Args:
            body: the request, encoded and compressed.

        Raises:
            NotOffered: the server has no streamed remote read.
            SourceError: anything else but a stream to its end; also from the iterator.
        """
        with closing(self._open(_Request("read", body=body, headers=_READ_HEADERS))) as response:
            kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            if kind == _WHOLE:
                raise not_offered(self._shown, "it answers with samples in one piece")
            if kind != _STREAMED:
                raise malformed(self._shown, f"content of type {kind or 'unknown'}")
            yield self._pieces(response)

    def _answer(self, request: _Request) -> Answer:
        content = bytearray()
        with closing(self._open(request)) as response:
            for piece in self._pieces(response):
                content += piece
                if len(content) > _MOST_BYTES:
                    raise TooMuchAsked(
                        f"Prometheus at {self._shown} answers with more than {_MOST_BYTES >> 20} MiB",
                        hint="shorten the window or lengthen the step",
                    )
        return Answer(self._shown, bytes(content))

    def _pieces(self, response: httpx.Response) -> Iterator[bytes]:
        try:
            yield from response.iter_bytes()
        except httpx.HTTPError as error:
            raise self._broken(error) from error

    def _open(self, request: _Request) -> httpx.Response:
        """The open answer, which is a 200; refused connections, 429 and 5xx are tried again."""
        self._budget.earn()
        for attempt in range(RETRIES + 1):
            found = self._attempt(request)
            if isinstance(found, httpx.Response):
                return found
            pause_s = self.settings.backoff_s * 2**attempt if found.retry_after_s is None else found.retry_after_s
            patient = found.may_pass and attempt < RETRIES and pause_s <= self.settings.longest_wait_s
            if not patient or not self._budget.spend():
                raise found.problem from found.cause
            self._wait(pause_s)
        raise AssertionError("the last attempt returns or raises")

    def _attempt(self, request: _Request) -> "httpx.Response | _Failure":
        try:
            response = self._http.send(self._built(request), stream=True)
        except httpx.HTTPError as error:
            return _Failure(self._broken(error), isinstance(error, httpx.ConnectError), cause=error)
        if response.status_code == httpx.codes.OK:
            return response
        problem = self._refusal(request, response)
        may_pass = response.status_code in _RETRIED_STATUS and not isinstance(problem, TooMuchAsked)
        return _Failure(problem, may_pass, retry_after_s(response.headers))

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
    """Whom to trust, and what to show."""
    ca, cert, key = settings.ca_file, settings.client_cert_file, settings.client_key_file
    if key and not cert:
        raise InputError("prometheus.client_key_file has no certificate", hint="give prometheus.client_cert_file, too")
    if not (ca or cert or settings.shown_url.startswith("https:")):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody; the public certificates take 70 ms to load
    try:
        context = ssl.create_default_context(cafile=str(ca)) if ca else httpx.create_ssl_context()
    except OSError as error:
        raise InputError(
            f"{ca} holds no certificates: {error}", hint="name a PEM file in prometheus.ca_file"
        ) from error
    if cert:
        try:
            # The empty password keeps OpenSSL from asking a terminal for one.
            context.load_cert_chain(cert, key, password="")
        except OSError as error:
            raise InputError(
                f"{cert} and its key cannot be used: {error}",
                hint="name PEM files in prometheus.client_cert_file and client_key_file, without a password",
            ) from error
    return context
