"""Charts as SVG. They contain only rectangles, stretched to their box; text stays in the page and keeps its size."""

from collections.abc import Iterable, Sequence

from markupsafe import Markup

from gpuwise.model.report import BudgetStatus, FleetDay, WeekCost
from gpuwise.report.wording import day, gpu_hours, usd

_GAP = 0.18
"""Share of a column's width that is left empty between two bars."""


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
    whole = max(one.usd, one.actual_usd, one.forecast_usd or 0.0, one.high_usd or 0.0) * 1.02
    shapes = []
    if one.forecast_usd is not None:
        shapes.append(_rect("expected", 0, 0, 100 * one.forecast_usd / whole, 8))
    shapes.append(_rect("idle" if one.state == "over" else "used", 0, 0, 100 * one.actual_usd / whole, 8))
    shapes.append(_rect("limit", 100 * one.usd / whole, 0, 0.8, 8, f"budget {usd(one.usd)}"))
    expected = "no forecast" if one.forecast_usd is None else f"{usd(one.forecast_usd)} expected"
    return _svg("thin", "0 0 100 8", shapes, f"{usd(one.actual_usd)} spent, {expected}, budget {usd(one.usd)}")


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


def _rect(name: str, x: float, y: float, width: float, height: float, label: str = "") -> Markup:
    inner = Markup("<title>{}</title>").format(label) if label else ""
    return Markup('<rect class="{}" x="{:.2f}" y="{:.2f}" width="{:.2f}" height="{:.2f}">{}</rect>').format(
        name, x, y, width, height, inner
    )


def _svg(name: str, box: str, shapes: Iterable[Markup], title: str) -> Markup:
    return Markup(
        '<svg class="chart {}" viewBox="{}" preserveAspectRatio="none" role="img" aria-label="{}">'
        "<desc>{}</desc>{}</svg>"
    ).format(name, box, title, title, Markup("").join(shapes))
