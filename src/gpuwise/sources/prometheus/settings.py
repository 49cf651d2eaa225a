"""Which Prometheus, how to be let in, and how patient to be; no file is opened and no library is loaded here."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from gpuwise.model.errors import InputError

ReadBy = Literal["auto", "remote-read", "query-range"]

# RFC 9110, section 5.6.2: what a header's name may be made of.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@dataclass(frozen=True, slots=True)
class PrometheusSettings:
    """Which Prometheus, how to be let in, and how patient to be.

    Attributes:
        url: its base, as "http://prometheus.monitoring:9090"; a path before /api is kept (Thanos, Mimir).
        bearer_token: sent with each request, None for none.
        username: for basic authentication, None for none.
        password: for basic authentication.
        headers: sent with each request, as X-Scope-OrgID for Mimir.
        ca_file: certificates to trust instead of the public ones (certifi's, or those that SSL_CERT_FILE names); PEM.
        client_cert_file: certificate to show, for mutual TLS; PEM.
        client_key_file: its key, None if the certificate's file holds it.
        read: by which of its APIs series are read; "auto" takes remote read where the server offers it.
        timeout_s: longest wait for one answer, or for the next piece of a streamed one.
        backoff_s: wait before the first retry of a request; it doubles.
        retry_burst: retries that a client may spend at once.
        retry_ratio: retries that each request adds to them, so an outage is not met with a multiple of the load.
        longest_wait_s: a server that says Retry-After more than this is not waited for.
    """

    url: str = field(repr=False)
    bearer_token: str | None = field(default=None, repr=False)
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    ca_file: Path | None = None
    client_cert_file: Path | None = None
    client_key_file: Path | None = None
    read: ReadBy = "auto"
    timeout_s: float = 60.0
    backoff_s: float = 0.5
    retry_burst: float = 10.0
    retry_ratio: float = 0.1
    longest_wait_s: float = 30.0

    @property
    def shown_url(self) -> str:
        """The URL as it may be shown: without a password.

        Raises:
            InputError: it is no http URL.
        """
        hint = "give --prometheus as http://host:port"
        try:
            parts = urlsplit(self.url)
            _ = parts.port
        except ValueError as error:
            raise InputError(f"the Prometheus URL is none: {error}", hint=hint) from error
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise InputError("the Prometheus URL is no http or https URL", hint=hint)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()

    @property
    def all_headers(self) -> dict[str, str]:
        """The headers of each request, the token's among them; a file's last newline is no part of a value.

        Raises:
            InputError: one cannot be sent, or two ways to be let in are given; the value is not shown.
        """
        found = {name: _sendable(value, f"prometheus.headers.{name}") for name, value in self.headers.items()}
        for name in found:
            if not _TOKEN.fullmatch(name):
                raise InputError(f"prometheus.headers names no header: {name!r}", hint="name one, as X-Scope-OrgID")
        if self.bearer_token is not None:
            found["Authorization"] = f"Bearer {_sendable(self.bearer_token, 'the Prometheus token')}"
        ways = [self.bearer_token, self.username, *(name for name in self.headers if name.lower() == "authorization")]
        if sum(way is not None for way in ways) > 1:
            raise InputError(
                "two ways to be let in by Prometheus are given",
                hint="keep one of prometheus.bearer_token_file, prometheus.username and a header Authorization",
            )
        return found

    @property
    def basic_auth(self) -> tuple[str, str] | None:
        """User and password, None if there is no user.

        Raises:
            InputError: one is there without the other.
        """
        if self.username is None and self.password is None:
            return None
        if self.username is None or self.password is None:
            hint = "give both prometheus.username and prometheus.password_file, or neither"
            raise InputError("user and password for Prometheus are not both given", hint=hint)
        return self.username, self.password.strip("\r\n")


def _sendable(value: str, what: str) -> str:
    bare = value.strip()
    if not bare or not bare.isascii() or not bare.isprintable():
        hint = "check --prometheus-token-file" if "token" in what else "check it, or the file it is in"
        raise InputError(f"{what} is empty or no plain text", hint=hint)
    return bare
