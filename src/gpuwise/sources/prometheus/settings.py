"""Settings of the Prometheus client. This module opens no files and loads no libraries."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from gpuwise.model.errors import InputError

ReadBy = Literal["auto", "remote-read", "query-range"]

# RFC 9110, section 5.6.2: characters of a header's name.
_SECRET_HEADERS = frozenset({"authorization", "cookie", "x-api-key"})
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@dataclass(frozen=True, slots=True)
class SecretFile:
    """A secret that is read where it is used: settings are sent to workers, and secrets are not.

    Attributes:
        path: the file.
        key: its key in the configuration, for messages.
    """

    path: Path
    key: str

    def read(self) -> str:
        """Return the content of the file.

        Raises:
            InputError: it cannot be read.
        """
        try:
            return self.path.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"cannot read the secret in {self.path}: {error}", hint=f"check {self.key}") from error


Secret = str | SecretFile


@dataclass(frozen=True, slots=True)
class PrometheusSettings:
    """Server, authentication, timeouts and retries.

    Attributes:
        url: base URL, such as "http://prometheus.monitoring:9090"; a path before /api is kept (Thanos, Mimir).
        bearer_token: token sent with each request, or its file, None for none.
        username: user for basic authentication, None for none.
        password: password for basic authentication, or its file.
        matchers: labels that every series must have, such as cluster: eu1, where a server stores several clusters.
        headers: headers sent with each request, such as X-Scope-OrgID for Mimir; a value may be a file.
        ca_file: CA certificates to trust instead of the public ones (certifi's, or those in SSL_CERT_FILE); PEM.
        client_cert_file: client certificate for mutual TLS; PEM.
        client_key_file: its key, None if it is in the certificate's file.
        read: API by which series are read; "auto" uses remote read if the server offers it.
        timeout_s: timeout for one response, or for the next piece of a streamed response, seconds.
        backoff_s: wait before the first retry of a request, seconds; it doubles with each retry.
        retry_burst: retries that a client may use at once.
        retry_ratio: retries that each request adds, which limits the load of retries during an outage.
        longest_wait_s: a request is not retried if the server's Retry-After is longer than this, seconds.
    """

    url: str = field(repr=False)
    bearer_token: Secret | None = field(default=None, repr=False)
    username: str | None = None
    password: Secret | None = field(default=None, repr=False)
    matchers: Mapping[str, str] = field(default_factory=dict, hash=False)
    headers: Mapping[str, Secret] = field(default_factory=dict, repr=False, hash=False)
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
        """The URL without its password, for messages.

        Raises:
            InputError: it is not an http or https URL.
        """
        hint = "give --prometheus as http://host:port"
        try:
            parts = urlsplit(self.url)
            _ = parts.port
        except ValueError as error:
            raise InputError(f"the Prometheus URL is not valid: {error}", hint=hint) from error
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise InputError("the Prometheus URL does not start with http:// or https://", hint=hint)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()

    @property
    def holds_secret(self) -> bool:
        """Whether a secret is part of these settings, and not only the file with it."""
        secrets = [self.bearer_token, self.password]
        secrets += [value for name, value in self.headers.items() if name.lower() in _SECRET_HEADERS]
        return any(isinstance(one, str) for one in secrets) or "@" in urlsplit(self.url).netloc

    @property
    def all_headers(self) -> dict[str, str]:
        """The headers of each request, including the token's. Surrounding whitespace of a value is removed.

        Raises:
            InputError: a header cannot be sent, or two ways to authenticate are set; the error does not show the value.
        """
        found = {name: _sendable(_value(value), f"prometheus.headers.{name}") for name, value in self.headers.items()}
        for name in found:
            if not _TOKEN.fullmatch(name):
                raise InputError(
                    f"prometheus.headers: {name!r} is not a header name", hint="use a name such as X-Scope-OrgID"
                )
        if self.bearer_token is not None:
            found["Authorization"] = f"Bearer {_sendable(_value(self.bearer_token), 'the Prometheus token')}"
        ways = [self.bearer_token, self.username, *(name for name in self.headers if name.lower() == "authorization")]
        if sum(way is not None for way in ways) > 1:
            raise InputError(
                "more than one way to authenticate to Prometheus is set",
                hint="keep one of prometheus.bearer_token_file, prometheus.username and a header Authorization",
            )
        return found

    @property
    def basic_auth(self) -> tuple[str, str] | None:
        """User and password, None if neither is set.

        Raises:
            InputError: only one of them is set.
        """
        if self.username is None and self.password is None:
            return None
        if self.username is None or self.password is None:
            hint = "set both prometheus.username and prometheus.password_file, or neither"
            raise InputError("only one of user and password for Prometheus is set", hint=hint)
        return self.username, _value(self.password).strip("\r\n")


def _value(secret: Secret) -> str:
    return secret if isinstance(secret, str) else secret.read()


def _sendable(value: str, what: str) -> str:
    bare = value.strip()
    if not bare or not bare.isascii() or not bare.isprintable():
        hint = "check --prometheus-token-file" if "token" in what else "check its value, or the file that contains it"
        raise InputError(f"{what} is empty or is not plain ASCII text", hint=hint)
    return bare
