"""The cause of a lasting step in somebody's daily cost: whose time, where, and whether time or price changed."""

from collections.abc import Mapping
from dataclasses import dataclass

from gpuwise.finops.series import Calendar, Floats, Keys, mean_of
from gpuwise.model.cost import CostSum
from gpuwise.model.report import CostAnomaly

_MONTH_D = 730 / 24
_COMPARED_D = 14
"""Days before a step with which its days are compared: two of each day of the week."""


@dataclass(frozen=True, slots=True)
class Detail:
    """The cost of one workload at one place.

    Attributes:
        workload: "namespace/Kind/name", None for deleted ones.
        gpu_type, region: where its time was.
        costs: by midnight.
    """

    workload: str | None
    gpu_type: str | None
    region: str | None
    costs: Mapping[int, CostSum]


def details(found: Mapping[Keys, Mapping[int, CostSum]]) -> list[Detail]:
    """Details from sums by namespace, workload, GPU type and region."""
    return [
        Detail(None if workload is None else f"{namespace}/{workload}", _text(gpu_type), _text(region), costs)
        for (namespace, workload, gpu_type, region), costs in found.items()
    ]


def _text(key: str | int | None) -> str | None:
    return None if key is None else str(key)


def explained(
    subject: str, bounds: tuple[int, int, int], usd: Floats, calendar: Calendar, parts: list[Detail]
) -> CostAnomaly:
    """Explain a step: the part with the largest share of it, and whether its GPU time or its price changed.

    The difference of a part is divided as usual for two factors: what its hours changed at the earlier price is more or
    less GPU time, what its price changed at the later hours is another price.

    Args:
        subject: whose cost it is.
        bounds: first days of the level before, of the step, and of the level after it, places in the series.
        usd: daily cost of the subject, shape (days,).
        calendar: the days.
        parts: all parts of the subject's cost.
    """
    first, start, end = bounds
    before, after = slice(max(first, start - _COMPARED_D), start), slice(start, end)
    levels = [mean_of(usd[one]) or 0.0 for one in (before, after)]
    largest, delta, cause = None, 0.0, "more GPU time" if levels[1] > levels[0] else "less GPU time"
    for part in parts:
        money = calendar.series({day_s: one.usd.capacity for day_s, one in part.costs.items()})
        hours = calendar.series({day_s: _priced_h(one) for day_s, one in part.costs.items()})
        was, now = (mean_of(money[one]) or 0.0 for one in (before, after))
        if abs(now - was) <= abs(delta) or (now > was) != (levels[1] > levels[0]):
            continue
        largest, delta = part, now - was
        was_h, now_h = (mean_of(hours[one]) or 0.0 for one in (before, after))
        by_price = (now / now_h - was / was_h) * now_h if was_h and now_h else 0.0
        by_time = "more GPU time" if delta > 0 else "less GPU time"
        cause = "another price" if abs(by_price) > abs(delta) / 2 else by_time
    whole = levels[1] - levels[0]
    return CostAnomaly(
        subject=subject,
        since_s=calendar.first_s + start * 86_400,
        before_usd_day=levels[0],
        after_usd_day=levels[1],
        usd_month=whole * _MONTH_D,
        cause=cause,
        workload=None if largest is None else largest.workload,
        place="" if largest is None else " in ".join(filter(None, (largest.gpu_type, largest.region))),
        part=min(1.0, delta / whole) if whole else 0.0,
    )


def _priced_h(one: CostSum) -> float:
    return (one.time.capacity - one.unpriced.capacity) / 3_600
