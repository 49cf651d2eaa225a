"""What a client accepts: the format and the compression of the page (RFC 9110, section 12.5)."""

from collections.abc import Iterator
from enum import Enum


class Format(Enum):
    """A text format of metrics; the value is its content type."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


_OPENMETRICS_VERSIONS = {"", "0.0.1", "1.0.0"}


def format_of(accept: str | None) -> Format:
    """OpenMetrics if the client prefers it to text, else text: a client that accepts neither gets text as well.

    Args:
        accept: the Accept header, None if there is none.
    """
    openmetrics, text, other = 0.0, None, 0.0
    for name, parameters, quality in _preferences(accept):
        if name == "application/openmetrics-text" and parameters.get("version", "") in _OPENMETRICS_VERSIONS:
            openmetrics = max(openmetrics, quality)
        elif name == "text/plain":
            text = max(text or 0.0, quality)
        elif name in {"*/*", "text/*"}:
            other = max(other, quality)
    return Format.OPENMETRICS if openmetrics > 0.0 and openmetrics >= (other if text is None else text) else Format.TEXT


def accepts_gzip(accept_encoding: str | None) -> bool:
    """Whether the client accepts gzip; "gzip;q=0" and "*;q=0" refuse it.

    Args:
        accept_encoding: the Accept-Encoding header, None if there is none.
    """
    qualities = {name: quality for name, _, quality in _preferences(accept_encoding)}
    return qualities.get("gzip", qualities.get("x-gzip", qualities.get("*", 0.0))) > 0.0


def _preferences(header: str | None) -> Iterator[tuple[str, dict[str, str], float]]:
    """Each element of a header: its name, its parameters, and its quality, 0 to 1; an unreadable quality is 0."""
    for element in (header or "").split(","):
        name, *rest = (part.strip() for part in element.split(";"))
        pairs = (part.partition("=") for part in rest)
        parameters = {key.strip().lower(): value.strip().strip('"') for key, _, value in pairs}
        try:
            quality = float(parameters.pop("q", "1"))
        except ValueError:
            quality = 0.0
        if name:
            yield name.lower(), parameters, quality
