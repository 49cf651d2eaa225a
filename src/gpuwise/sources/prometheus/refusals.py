"""Errors of Prometheus requests, by what the user can do about them."""

import json
import re

from gpuwise.model.errors import SourceError

# Messages of servers that may answer a smaller request. Prometheus: "query processing would load too many samples",
# "exceeded maximum resolution of 11,000 points", "query timed out". Mimir: "the query exceeded the maximum number of
# ...". Thanos: "exceeded series limit". VictoriaMetrics: "cannot select more than -search.max...", "too many points".
_TOO_MUCH = re.compile(r"too many|exceed|timed out|time-?out|deadline|more than -search\.", re.IGNORECASE)
_MAY_BE_TOO_MUCH = frozenset({400, 422, 503, 504})
# 404: Thanos Query. 405, 501: gateways. VictoriaMetrics: 400 "unsupported path requested". A Prometheus that does not
# know the requested response type: 400 "server does not support any of the requested response types".
_NOT_OFFERED = frozenset({404, 405, 501})
_NOT_OFFERED_WORDS = re.compile(r"unsupported path|does not support")
_SHOWN_CHARACTERS = 300


class TooMuchAsked(SourceError):
    """The server could not answer this request, but may be able to answer a smaller one."""


class NotOffered(SourceError):
    """The server has no remote read, or not the streamed form."""


def refused(shown: str, path: str, status: int, reason: str, content: bytes) -> SourceError:
    """Return the error for a response with another status than 200.

    Args:
        shown: the server's URL without secrets.
        path: path of the request, such as "query_range".
        status: HTTP status code.
        reason: reason phrase of the status line.
        content: body of the response, or its start.
    """
    text = _text(content)
    problem = f"Prometheus at {shown} returned {status} {reason}: {text}"
    if path == "read" and (status in _NOT_OFFERED or (status == 400 and _NOT_OFFERED_WORDS.search(text))):
        return not_offered(shown, f"{status} {reason}: {text}")
    if status in _MAY_BE_TOO_MUCH and _TOO_MUCH.search(f"{reason} {text}"):
        return TooMuchAsked(
            problem, hint="shorten the window, or raise the server's --query.max-samples and --query.timeout"
        )
    match status:
        case 401 | 403:
            hint = "check --prometheus-token-file and the other prometheus.* keys for authentication"
        case 404 | 301 | 302 | 307 | 308:
            hint = "set --prometheus to the base URL of the API, without /api/v1 and not behind a login page"
        case 400 | 422:
            hint = "if there are too many samples, shorten the window or raise the server's --query.max-samples"
        case _:
            hint = "check the server's log, then run again"
    return SourceError(problem, hint=hint)


def not_offered(shown: str, why: str) -> NotOffered:
    """Return the error of a server without streamed remote read."""
    return NotOffered(
        f"Prometheus at {shown} does not offer streamed remote read: {why}",
        hint="set prometheus.read to auto or query-range",
    )


def unreachable(shown: str, why: str) -> SourceError:
    """Return the error of a failed connection, also of one that failed within a response."""
    return SourceError(
        f"cannot reach Prometheus at {shown}: {why}",
        hint="check --prometheus, and that this machine can reach the server",
    )


def took_too_long(shown: str, why: str) -> TooMuchAsked:
    """Return the error of a response that did not arrive in time, or not completely."""
    return TooMuchAsked(
        f"Prometheus at {shown} did not respond in time: {why}",
        hint="check --prometheus and the network, or raise prometheus.timeout_s",
    )


def malformed(shown: str, detail: str) -> SourceError:
    """Return the error of a response that does not follow the API."""
    return SourceError(
        f"Prometheus at {shown} sent an invalid response: {printable(detail)}",
        hint="check that --prometheus is the URL of Prometheus and not of a page in front of it",
    )


def partial(shown: str, why: str) -> SourceError:
    """Return the error of a response that the server itself marks as incomplete."""
    return SourceError(
        f"Prometheus at {shown} returned a partial response: {printable(why)}",
        hint="fix the store that the message names, then run again: gpuwise does not use partial data",
    )


def printable(text: str) -> str:
    """Return the start of a server's message on one line, safe for a terminal."""
    line = " ".join(text.split())[:_SHOWN_CHARACTERS]
    return "".join(char if char.isprintable() else "?" for char in line)


def _text(content: bytes) -> str:
    """Return the reason in a response body: the JSON API's "error", else the body unless it is an HTML page."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        plain = content.decode(errors="replace").strip()
        return "an HTML page" if plain.startswith("<") else printable(plain) or "no reason given"
    error = body.get("error") if isinstance(body, dict) else None
    return printable(str(error or "no reason given"))
