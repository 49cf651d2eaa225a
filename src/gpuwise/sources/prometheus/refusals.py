"""Errors of Prometheus requests, by what the user can do about them."""

import json
import re

from gpuwise.model.errors import SourceError

# Messages of servers that may answer a smaller request; tests/sources/prometheus/test_limits.py has them with sources.
# A list of exact messages was always incomplete, so the words are broad: to ask for less without need costs a few
# requests, to miss a limit ends the run.
_TOO_MUCH = re.compile(
    r"limit|exceed|too (many|much|large|big|long|wide|expensive|complex|heavy)|maximum|\bmax\b|[-_.]max"
    r"|(larger|longer|bigger|greater|more|wider|higher) than|timed? ?out|time-out|deadline|exhausted|memory|quota",
    re.IGNORECASE,
)
# Limits of how often or how many at once: to wait helps, a smaller request does not. Mimir: "too many outstanding
# requests", "the tenant exceeded the request rate limit". VictoriaMetrics: "since -search.maxConcurrentRequests=8
# concurrent requests are executed". Google: "Quota exceeded for quota metric ... per minute". Amazon: "Throttling",
# "Rate exceeded". Envoy: "local_rate_limited".
_TOO_OFTEN = re.compile(
    r"too many (outstanding |concurrent |inflight )?(requests|queries)\b|max\w*concurren|concurrency|throttl"
    r"|request rate|requests? limit|number of queries|per (second|minute|hour)|rate[ _-]?(limit|exceeded)",
    re.IGNORECASE,
)
# Statuses with which servers and gateways refuse a large request. Thanos and Mimir also send limits as 500.
_MAY_BE_TOO_MUCH = frozenset({400, 408, 413, 422, 429, 500, 502, 503, 504})
# 408 and 504: a time-out. 413: a gateway's, or Mimir's "response too large". They need no text.
_ALWAYS_TOO_MUCH = frozenset({408, 413, 504})
# The server understood the request and does not evaluate it. 405 and 501: gateways.
_NOT_EVALUATED = frozenset({400, 405, 422, 501})
# A list that a server may lack although --prometheus is right: metric names have been listed before.
_OPTIONAL_LISTS = frozenset({"labels", "series"})
# 404: Thanos Query. 405, 501: gateways. VictoriaMetrics: 400 "unsupported path requested". A Prometheus that does not
# know the requested response type: 400 "server does not support any of the requested response types".
_NOT_OFFERED = frozenset({404, 405, 501})
_NOT_OFFERED_WORDS = re.compile(r"unsupported path|does not support")
# Remote read selects names by a pattern. Cortex' chunk store: 400 "query must contain metric name" (cortex#1079).
_NO_PATTERN = re.compile(r"metric name|__name__|match ?type|matcher|regex|regular expr", re.IGNORECASE)
# OpenSSL's words for a response that is not TLS.
_NO_TLS = re.compile(r"wrong[ _]version[ _]number|record layer failure", re.IGNORECASE)
# Mimir and Cortex with several tenants: 401 "no org id".
_NO_TENANT = re.compile(r"\bno org id\b")
_QUOTED_QUERY = re.compile(r'(query=)"(?:[^"\\]|\\.)*"')
_SHOWN_CHARACTERS = 300
_LESS = (
    "shorten the window, or raise the limit that the message names (Prometheus: --query.max-samples, --query.timeout)"
)


class TooMuchAsked(SourceError):
    """The server could not answer this request, but may be able to answer a smaller one."""


class TooSlow(TooMuchAsked):
    """No response arrived in time: a smaller request may be answered, or the server hangs."""


class TooLong(TooMuchAsked):
    """The response is longer than this program reads at once; the same request always is."""


class NotEvaluated(SourceError):
    """The server does not evaluate a request of this form, such as a pattern of metric names."""


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
    problem = f"Prometheus at {shown} returned {status} {reason}: {printable(text)}"
    if path == "read" and _without_remote_read(status, text):
        return not_offered(shown, f"{status} {reason}: {printable(text)}")
    if asks_too_much(status, text):
        return TooMuchAsked(problem, hint=_LESS)
    if status in _NOT_EVALUATED or (status == 404 and path in _OPTIONAL_LISTS):
        return NotEvaluated(
            problem,
            hint="this server does not evaluate the request: compare the message with the server's documentation of "
            "its query API; if it is about a limit, shorten the window or raise the limit",
        )
    match status:
        case 401 if _NO_TENANT.search(text):
            hint = "set prometheus.headers to X-Scope-OrgID: and the tenant's name"
        case 401 | 403:
            hint = "check --prometheus-token-file and the other prometheus.* keys for authentication"
        case 404 | 301 | 302 | 303 | 307 | 308:
            hint = "set --prometheus to the base URL of the API, without /api/v1 and not behind a login page"
        case 429:
            hint = "the server limits how often it is asked: run again later, or raise that limit"
        case _:
            hint = "check the server's log, then run again"
    return SourceError(problem, hint=hint)


def _without_remote_read(status: int, text: str) -> bool:
    words = _NOT_OFFERED_WORDS.search(text) or _NO_PATTERN.search(text)
    return status in _NOT_OFFERED or (status in {400, 422} and words is not None)


def asks_too_much(status: int, text: str) -> bool:
    """Return whether a server may answer a smaller request.

    Args:
        status: HTTP status code; 200 for a message within a response.
        text: the server's message.
    """
    if status in _ALWAYS_TOO_MUCH:
        return True
    about_size = bool(_TOO_MUCH.search(text)) and not _TOO_OFTEN.search(text)
    return about_size and (status in _MAY_BE_TOO_MUCH or status == 200)


def not_offered(shown: str, why: str) -> NotOffered:
    """Return the error of a server without streamed remote read."""
    return NotOffered(
        f"Prometheus at {shown} does not offer streamed remote read: {why}",
        hint="set prometheus.read to auto or query-range",
    )


def unreachable(shown: str, why: str) -> SourceError:
    """Return the error of a failed connection, also of one that failed within a response."""
    hint = "check --prometheus, and that this machine can reach the server"
    if _NO_TLS.search(why):
        hint = "the server does not speak TLS on this port: write http:// in --prometheus, or use its TLS port"
    return SourceError(f"cannot reach Prometheus at {shown}: {why}", hint=hint)


def took_too_long(shown: str, why: str) -> TooSlow:
    """Return the error of a response that did not arrive in time, or not completely."""
    return TooSlow(
        f"Prometheus at {shown} did not respond in time: {why}",
        hint="check --prometheus and the network, or raise prometheus.timeout_s",
    )


def failed(shown: str, text: str) -> SourceError:
    """Return the error of a response with status 200 that contains an error, as some gateways send it."""
    if asks_too_much(200, text):
        return TooMuchAsked(f"Prometheus at {shown} returned an error: {printable(text)}", hint=_LESS)
    return malformed(shown, text)


def malformed(shown: str, detail: str) -> SourceError:
    """Return the error of a response that does not follow the API."""
    return SourceError(
        f"Prometheus at {shown} sent an invalid response: {printable(detail)}",
        hint="check that --prometheus is the URL of Prometheus and not of a page in front of it",
    )


def partial(shown: str, why: str) -> SourceError:
    """Return the error of a response that the server itself marks as incomplete.

    Thanos Query sends a store's limit as a warning beside partial data, unless partial responses are disabled.
    """
    problem = f"Prometheus at {shown} returned a partial response: {printable(why)}"
    if asks_too_much(200, why):
        return TooMuchAsked(problem, hint=_LESS)
    return SourceError(
        problem, hint="fix the store that the message names, then run again: gpuwise does not use partial data"
    )


def printable(text: str) -> str:
    """Return a server's message on one line, safe for a terminal; of a long one the start and the end."""
    line = " ".join(text.split())
    if len(line) > _SHOWN_CHARACTERS:
        # The cause is the last part of a chain of errors.
        line = f"{line[: _SHOWN_CHARACTERS // 3]} ... {line[-_SHOWN_CHARACTERS * 2 // 3 :]}"
    return "".join(char if char.isprintable() else "?" for char in line)


def _text(content: bytes) -> str:
    """Return the reason in a response body: the "error" or "message" of JSON, else the body unless it is an HTML page.

    Amazon's and Kubernetes' gateways and Grafana's proxy send "message".
    """
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        plain = content.decode(errors="replace").strip()
        return "an HTML page" if plain.startswith("<") else _without_query(plain) or "no reason given"
    said = [body.get(key) for key in ("error", "message", "Message")] if isinstance(body, dict) else [body]
    return _without_query(str(next(filter(None, said), "no reason given")))


def _without_query(text: str) -> str:
    """Leave out the query that VictoriaMetrics quotes before the reason: it can be long, and has words of its own."""
    return _QUOTED_QUERY.sub(r"\1...", text)
