"""The channel Slack, by an incoming webhook: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks.

Its address is a secret: it is in no message, no log and no row of the ledger.
"""

import hashlib
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx

from gpuwise import __version__
from gpuwise.delivery.channel import Lost, Refused, Transient
from gpuwise.model.errors import InputError

_RETRIED = frozenset({408, 425, 429, 500, 503})
# A proxy lost its connection to Slack, or Slack did not answer it in time: the message may have been posted.
_LOST = frozenset({502, 504})
_HEADERS = {"User-Agent": f"gpuwise/{__version__}"}


@dataclass(frozen=True, slots=True)
class Webhook:
    """The report of one week as a message of Slack.

    Attributes:
        url: address of the webhook, a secret.
        body: the message.
        timeout_s: for one answer, seconds.
    """

    url: str = field(repr=False)
    body: Mapping[str, Any]
    timeout_s: float
    name: str = "slack"

    @property
    def recipients(self) -> Sequence[str]:
        """A digest of the address: the same webhook has the same one, and the address cannot be computed from it."""
        return (_digest(self.url),)

    def send(self, recipient: str) -> None:
        """See `Channel`."""
        assert recipient in self.recipients
        try:
            answer = httpx.post(self.url, json=dict(self.body), timeout=self.timeout_s, headers=_HEADERS)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError) as error:
            raise Transient(f"Slack could not be reached: {_why(error, self.url)}") from None
        except httpx.HTTPError as error:  # its text may have the address in it
            raise Lost(f"the answer of Slack was lost: {_why(error, self.url)}") from None
        if answer.status_code == httpx.codes.OK:
            return
        problem = f"Slack answered {answer.status_code}{_reason(answer)}"
        if answer.status_code in _LOST:
            raise Lost(f"a gateway answered {answer.status_code} for Slack")
        if answer.status_code in _RETRIED:
            raise Transient(problem, _retry_after_s(answer))
        raise Refused(problem)


def _digest(url: str) -> str:
    return f"webhook-{hashlib.sha256(url.encode()).hexdigest()[:12]}"


def _why(error: Exception, url: str) -> str:
    """The text of an error, unless it has a part of the address: the path is the secret."""
    text, path = str(error), urlsplit(url).path
    return text if text and not (len(path) > 1 and path in text) else type(error).__name__


def reach(url: str, timeout_s: float) -> str:
    """Ask the host of a webhook for an answer, not the webhook itself; return what was done.

    Args:
        url: address of the webhook; its path is the secret, and is not sent.
        timeout_s: for the answer, seconds.

    Raises:
        Transient: there is none.
    """
    try:
        httpx.head(httpx.URL(url).copy_with(raw_path=b"/"), timeout=timeout_s, headers=_HEADERS)
    except httpx.HTTPError as error:
        raise Transient(f"Slack could not be reached: {_why(error, url)}") from None
    return f"the host of {_digest(url)} answers; nothing was posted"


def checked_url(text: str | None, key: str = "report.slack.webhook_url_file") -> str:
    """Return the address of a webhook, if a message can be sent to it.

    Args:
        text: content of the file.
        key: where the file is configured, for the error.

    Raises:
        InputError: it is empty or no https address; plain http is accepted on this machine alone. The error does not
            quote it.
    """
    hint = "the file has one line, the address that Slack shows for the webhook: https://hooks.slack.com/services/..."
    parts = _parts(text or "")
    if parts is None or len((text or "").split()) != 1:
        raise InputError(f"the file of {key} has no valid address", hint=hint)
    scheme, host = parts
    if scheme != "https" and not (scheme == "http" and _is_loopback(host)):
        problem = f"the address in the file of {key} begins with {scheme}, which is not encrypted"
        raise InputError(problem, hint=hint)
    return text or ""


def _parts(text: str) -> tuple[str, str] | None:
    try:
        parts = urlsplit(text)
        httpx.URL(text)  # the client is stricter
    except (ValueError, httpx.InvalidURL):
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    return parts.scheme, parts.hostname


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _reason(answer: httpx.Response) -> str:
    """The word that Slack sends, such as invalid_payload or no_service; a page of a proxy is not shown."""
    text = answer.text.strip()
    return f" {text}" if text.isascii() and text.replace("_", "").isalnum() and len(text) <= 60 else ""


def _retry_after_s(answer: httpx.Response) -> float | None:
    """Seconds in the header Retry-After; Slack sends a number (https://docs.slack.dev/apis/web-api/rate-limits)."""
    text = answer.headers.get("Retry-After", "")
    return float(text) if text.isdecimal() and len(text) < 10 else None
