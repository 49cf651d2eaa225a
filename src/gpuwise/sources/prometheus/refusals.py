"""Why a Prometheus gave no answer, told apart by what may help."""

import json
import re

from gpuwise.model.errors import SourceError

# What servers say when less might do. Prometheus: "query processing would load too many samples", "exceeded maximum
# resolution of 11,000 points", "query timed out". Mimir: "the query exceeded the maximum number of ...". Thanos:
# "exceeded series limit". VictoriaMetrics: "cannot select more than -search.max...", "too many points".
_TOO_MUCH = re.compile(r"too many|exceed|timed out|time-?out|deadline|more than -search\.", re.IGNORECASE)
_MAY_BE_TOO_MUCH = frozenset({400, 422, 503, 504})
# 404: Thanos Query. 405, 501: gateways. VictoriaMetrics: 400 "unsupported path requested". Prometheus, asked for a form
# of response that it does not know: 400 "server does not support any of the requested response types".
_NOT_OFFERED = frozenset({404, 405, 501})
_NOT_OFFERED_WORDS = re.compile(r"unsupported path|does not support")
_SHOWN_CHARACTERS = 300


class TooMuchAsked(SourceError):
    """The server could not answer this, but might answer a part of it."""


class NotOffered(SourceError):
    """The server has no remote read, or not the streamed one."""


def refused(shown: str, path: str, status: int, reason: str, content: bytes) -> SourceError:
    """Tell what an answer other than 200 means.

    Args:
        shown: the server's URL as it may be shown.
        path: what was asked for, as "query_range".
        status: HTTP status code.
        reason: the status line's words.
        content: the answer's body, or the start of it.
    """
    text = _text(content)
    problem = f"Prometheus at {shown} refused: {status} {reason}: {text}"
    if path == "read" and (status in _NOT_OFFERED or (status == 400 and _NOT_OFFERED_WORDS.search(text))):
        return not_offered(shown, f"{status} {reason}: {text}")
    if status in _MAY_BE_TOO_MUCH and _TOO_MUCH.search(f"{reason} {text}"):
        return TooMuchAsked(problem, hint="shorten the window, or raise its --query.max-samples and --query.timeout")
    match status:
        case 401 | 403:
            hint = "check --prometheus-token-file and the other prometheus.* keys that let in"
        case 404 | 301 | 302 | 307 | 308:
            hint = "give the base of its API as --prometheus, without /api/v1, and no login page before it"
        case 400 | 422:
            hint = "if it speaks of too many samples, shorten the window or raise its --query.max-samples"
        case _:
            hint = "look at its log, then run again"
    return SourceError(problem, hint=hint)


def not_offered(shown: str, why: str) -> NotOffered:
    """The server has no streamed remote read."""
    return NotOffered(
        f"Prometheus at {shown} offers no streamed remote read: {why}",
        hint="set prometheus.read to auto or query-range",
    )


def unreachable(shown: str, why: str) -> SourceError:
    """No answer, or not the end of one."""
    return SourceError(
        f"Prometheus at {shown} cannot be reached: {why}", hint="check --prometheus, and that it answers from here"
    )


def took_too_long(shown: str, why: str) -> TooMuchAsked:
    """The answer, or the rest of it, did not come in time."""
    return TooMuchAsked(
        f"Prometheus at {shown} cannot be reached: {why}",
        hint="check --prometheus, and that it answers from here; else raise prometheus.timeout_s",
    )


def malformed(shown: str, detail: str) -> SourceError:
    """An answer that is not what its API promises."""
    return SourceError(
        f"Prometheus at {shown} sent no whole answer: {printable(detail)}",
        hint="check that --prometheus is Prometheus itself and not a page before it",
    )


def partial(shown: str, why: str) -> SourceError:
    """An answer that the server itself calls incomplete."""
    return SourceError(
        f"Prometheus at {shown} answered in part: {printable(why)}",
        hint="fix the store that it names, then run again: partial data is not used",
    )


def printable(text: str) -> str:
    """The start of a server's words on one line, fit for a terminal."""
    line = " ".join(text.split())[:_SHOWN_CHARACTERS]
    return "".join(char if char.isprintable() else "?" for char in line)


def _text(content: bytes) -> str:
    """The reason a body gives: the JSON API's "error", else the body itself unless it is a page."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        plain = content.decode(errors="replace").strip()
        return "a page" if plain.startswith("<") else printable(plain) or "no reason given"
    error = body.get("error") if isinstance(body, dict) else None
    return printable(str(error or "no reason given"))
