"""Charts as SVG. They contain only rectangles, stretched to their box; text stays in the page and keeps its size."""

from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape

from gpuwise.model.report import BudgetStatus, FleetDay, WeekCost
from gpuwise.model.use import TENTHS, Activity, HoursOfWeek
from gpuwise.report import pattern_wording
from gpuwise.report.flow import Step
from gpuwise.report.wording import NOT_RECORDED, day, gpu_hours, percent, usd

_GAP = 0.18
"""Share of a column's width that is left empty between two bars."""

_LIGHTEST, _LEAST_SPAN = 0.12, 0.1
"""Opacity of the least idle hour in a heat map, and the difference of idle shares that is drawn with all of the rest:
where hours differ by less than ten points, they look alike."""


def split_bar(parts: Sequence[tuple[str, float]], title: str) -> Markup:
    """Draw one horizontal bar that is divided in proportion.

    Args:
        parts: CSS class and size of each part; sizes of 0 draw nothing.
        title: text alternative for screen readers.
    """
    total = sum(size for _, size in parts)
    shapes, left = [], 0.0
    for name, size in parts:
        width = 100.0 * size / total if total > 0 else 0.0
        if width > 0:
            shapes.append(_rect(name, left, 0, width, 10))
        left += width
    return _svg("split", "0 0 100 10", shapes, title)


def day_total(hours: FleetDay) -> float:
    """GPU-hours of a day, the sum of all classes."""
    return sum(size for _, size in _parts(hours))


def _parts(one: FleetDay) -> tuple[tuple[str, float], ...]:
    return (
        ("used", one.used_gpu_h),
        ("idle", one.idle_gpu_h),
        ("outside", one.outside_gpu_h),
        ("unallocated", one.unallocated_gpu_h),
        ("unknown", one.unknown_gpu_h),
        ("stranded", one.stranded_gpu_h),
    )


def day_columns(days: Sequence[FleetDay], title: str) -> Markup:
    """Draw one stacked column per day, with the classes of the bill from used at the bottom to stranded at the top."""
    top = max(map(day_total, days), default=0.0)
    shapes = [Markup('<line class="grid" x1="0" x2="100" y1="{0}" y2="{0}"/>').format(y) for y in (0.25, 50, 99.75)]
    for index, one in enumerate(days):
        left, width = (index + _GAP / 2) * 100 / len(days), (1 - _GAP) * 100 / len(days)
        height = 0.0
        for name, hours in _parts(one):
            size = 100 * hours / top if top > 0 else 0.0
            height += size
            if size > 0:
                label = f"{day(one.start_s)}: {gpu_hours(hours)} {name}"
                shapes.append(_rect(name, left, 100 - height, width, size, label))
    return _svg("columns", "0 0 100 100", shapes, title)


def week_columns(weeks: Sequence[WeekCost], title: str) -> Markup:
    """Draw one stacked column per week, in dollars: used, idle, unallocated and not measured."""
    top = max((one.usd for one in weeks), default=0.0)
    shapes = [Markup('<line class="grid" x1="0" x2="100" y1="{0}" y2="{0}"/>').format(y) for y in (0.25, 50, 99.75)]
    for index, one in enumerate(weeks):
        left, width = (index + _GAP / 2) * 100 / len(weeks), (1 - _GAP) * 100 / len(weeks)
        used = one.usd - one.idle_usd - one.unallocated_usd - one.unknown_usd
        height = 0.0
        for name, money in (
            ("used", used),
            ("idle", one.idle_usd),
            ("unallocated", one.unallocated_usd),
            ("unknown", one.unknown_usd),
        ):
            size = 100 * money / top if top > 0 else 0.0
            if size > 0:
                height += size
                shapes.append(_rect(name, left, 100 - height, width, size, f"{one.week}: {usd(money)} {name}"))
    return _svg("columns", "0 0 100 100", shapes, title)


def budget_bar(one: BudgetStatus) -> Markup:
    """Draw what a month has cost in front of what it is expected to cost; the line is the budget."""
    whole = max(one.usd, one.actual_usd or 0.0, one.forecast_usd or 0.0, one.high_usd or 0.0) * 1.02
    shapes = []
    if one.forecast_usd is not None:
        shapes.append(_rect("expected", 0, 0, 100 * one.forecast_usd / whole, 8))
    if one.actual_usd is not None:
        shapes.append(_rect("idle" if one.state == "over" else "used", 0, 0, 100 * one.actual_usd / whole, 8))
    shapes.append(_rect("limit", 100 * one.usd / whole, 0, 0.8, 8, f"budget {usd(one.usd)}"))
    spent = NOT_RECORDED if one.actual_usd is None else f"{usd(one.actual_usd)} spent"
    expected = "no forecast" if one.forecast_usd is None else f"{usd(one.forecast_usd)} expected"
    return _svg("thin", "0 0 100 8", shapes, f"{spent}, {expected}, budget {usd(one.usd)}")


def step_bar(one: Step, whole: float) -> Markup:
    """Draw a step of the way from the bill to useful work: it begins where the step before it ended.

    Args:
        one: the step.
        whole: the first step, drawn at full width.
    """
    scale = 100.0 / whole if whole > 0 else 0.0
    shapes = [_rect(one.name, one.left * scale, 0, one.size * scale, 8)] if one.size > 0 else []
    return _svg("thin", "0 0 100 8", shapes, f"{one.text}: {one.amount}")


def heat_map(hours: HoursOfWeek, title: str) -> Markup:
    """Draw the idle share of each hour of the week: a row for each day, darkest where most is idle.

    Args:
        hours: allocated time.
        title: text alternative for screen readers.
    """
    least, most = pattern_wording.idle_bounds(hours) or (0.0, 0.0)
    shapes = []
    for at in range(len(hours.idle_gpu_h)):
        one = pattern_wording.idle_share(hours, at)
        row, column = divmod(at, 24)
        label = f"{pattern_wording.hour(at)}: {'nothing allocated' if one is None else f'{percent(one)} idle'}"
        dark = 0.0 if one is None else _LIGHTEST + (1 - _LIGHTEST) * (one - least) / max(most - least, _LEAST_SPAN)
        place = (column * 100 / 24, row * 10.0, 100 / 24 * 0.94, 9.2)
        shapes.append(_rect("idle", *place, label, opacity=f"{dark:.2f}"))
    return _svg("heat", "0 0 100 70", shapes, title)


def activity_columns(found: Activity, title: str) -> Markup:
    """Draw a column for each tenth of activity, of its GPU-hours."""
    top = max(found.gpu_h, default=0.0)
    shapes = [Markup('<line class="grid" x1="0" x2="100" y1="{0}" y2="{0}"/>').format(y) for y in (0.25, 50, 99.75)]
    for number, hours in enumerate(found.gpu_h):
        left, width = (number + _GAP / 2) * 100 / TENTHS, (1 - _GAP) * 100 / TENTHS
        size = 100 * hours / top if top > 0 else 0.0
        label = f"{pattern_wording.tenth(number)}: {gpu_hours(hours)}"
        shapes.append(_rect("used", left, 100 - size, width, size, label))
    return _svg("columns", "0 0 100 100", shapes, title)


def share_bar(idle: float, allocated: float, largest: float, title: str) -> Markup:
    """Draw a thin bar for a table row: the allocated amount relative to the column's largest, its idle part in front.

    Args:
        idle: idle part of the amount, in the unit of `allocated`.
        allocated: the amount of this row.
        largest: the largest amount of the column, drawn at full width.
        title: text alternative for screen readers.
    """
    scale = 100.0 / largest if largest > 0 else 0.0
    shapes = [_rect("used", 0, 0, allocated * scale, 8)] if allocated > 0 else []
    if idle > 0:
        shapes.append(_rect("idle", 0, 0, idle * scale, 8))
    return _svg("thin", "0 0 100 8", shapes, title)


def _rect(name: str, x: float, y: float, width: float, height: float, label: str = "", *, opacity: str = "") -> Markup:
    # Escaped one by one: `Markup.format` of the 200 shapes took half of the time of a page.
    inner = f"<title>{escape(label)}</title>" if label else ""
    faint = f' fill-opacity="{escape(opacity)}"' if opacity else ""
    size = f'x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}"'
    return Markup(f'<rect class="{escape(name)}" {size}{faint}>{inner}</rect>')  # noqa: S704 - escaped above


def _svg(name: str, box: str, shapes: Iterable[Markup], title: str) -> Markup:
    return Markup(
        '<svg class="chart {}" viewBox="{}" preserveAspectRatio="none" role="img" aria-label="{}">'
        "<desc>{}</desc>{}</svg>"
    ).format(name, box, title, title, Markup("").join(shapes))
