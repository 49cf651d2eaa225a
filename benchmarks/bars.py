"""Draws horizontal bars with intervals as an SVG picture that is readable on dark and light pages."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_LEFT, _WIDTH, _RIGHT, _ROW, _HEAD, _FOOT = 190, 430, 90, 24, 44, 14
_INK, _OURS, _OTHERS, _BOUND = "#57606a", "#1a7f37", "#8c959f", "#cf222e"


@dataclass(frozen=True, slots=True)
class Bar:
    """One policy's figure.

    Attributes:
        name: of the policy.
        value: of the figure.
        low: lower end of its interval, None where there is none.
        high: upper end.
        ours: drawn to stand out.
    """

    name: str
    value: float
    low: float | None
    high: float | None
    ours: bool


def bars(title: str, drawn: Sequence[Bar], *, bound: float | None = None) -> str:
    """Draw bars from 0, on a logarithmic scale if the longest is more than 20 times the shortest.

    Args:
        title: what is shown.
        drawn: from top to bottom.
        bound: value that no policy can beat, drawn as a dashed line.
    """
    values = [bar.value for bar in drawn if bar.value > 0] or [1.0]
    ends = [*(bar.high or bar.value for bar in drawn), bound or 0.0]
    scale = _Scale(min(values), max(*ends, min(values)), logarithmic=max(values) > 20 * min(values))
    height = _HEAD + _ROW * len(drawn) + _FOOT
    width = _LEFT + _WIDTH + _RIGHT
    note = ", logarithmic" if scale.logarithmic else ""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        f'<g font-family="sans-serif" font-size="12" fill="{_INK}">',
        f"<title>{escape(title)}</title>",
        f'<text x="8" y="20" font-size="13" font-weight="bold">{escape(title + note)}</text>',
    ]
    for number, bar in enumerate(drawn):
        parts += _bar(bar, _HEAD + _ROW * number, scale)
    if bound is not None:
        at = _LEFT + scale.length(bound)
        parts.append(
            f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{_HEAD - 6}" y2="{height - _FOOT}" stroke="{_BOUND}" '
            f'stroke-dasharray="4 3"/><text x="{at:.1f}" y="{_HEAD - 9}" text-anchor="middle" fill="{_BOUND}" '
            f'font-size="10">bound {bound:.4g}</text>'
        )
    return "\n".join([*parts, "</g></svg>"]) + "\n"


@dataclass(frozen=True, slots=True)
class _Scale:
    least: float
    most: float
    logarithmic: bool

    def length(self, value: float) -> float:
        """Pixels of a value from the left; 0 for a value of 0 or less."""
        if value <= 0 or self.most <= 0:
            return 0.0
        if not self.logarithmic:
            return _WIDTH * value / self.most
        # The shortest bar keeps a tenth of the width.
        span = math.log(self.most / self.least) or 1.0
        return _WIDTH * max(0.0, 0.1 + 0.9 * math.log(value / self.least) / span)


def _bar(bar: Bar, top: float, scale: _Scale) -> list[str]:
    middle, length = top + _ROW / 2, scale.length(bar.value)
    weight = ' font-weight="bold"' if bar.ours else ""
    colour = _OURS if bar.ours else _OTHERS
    parts = [
        f'<text x="{_LEFT - 8}" y="{middle + 4:.1f}" text-anchor="end"{weight}>{escape(bar.name)}</text>',
        f'<rect x="{_LEFT}" y="{top + 4:.1f}" width="{length:.1f}" height="{_ROW - 8}" fill="{colour}"/>',
    ]
    end = length
    if bar.low is not None and bar.high is not None:
        first, end = scale.length(bar.low), max(length, scale.length(bar.high))
        parts.append(
            f'<path d="M{_LEFT + first:.1f} {middle:.1f}H{_LEFT + end:.1f}M{_LEFT + first:.1f} {middle - 4:.1f}v8'
            f'M{_LEFT + end:.1f} {middle - 4:.1f}v8" stroke="{_INK}" fill="none"/>'
        )
    parts.append(f'<text x="{_LEFT + end + 6:.1f}" y="{middle + 4:.1f}"{weight}>{bar.value:.4g}</text>')
    return parts
