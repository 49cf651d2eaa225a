"""The gaps between requests, from stored hours, at the finest step that the samples support."""

from functools import reduce

import numpy as np

from gpuwise.model.gaps import Mask, RequestGaps
from gpuwise.model.hours import HOUR_S, HourRows, UsageHours
from gpuwise.model.usage import SCRAPE_S, Window
from gpuwise.score.idle import unpacked

# Steps in which a scrape interval of up to this many seconds has a sample each; all divide an hour.
_STEPS_S = (30, 60, 120, 300)

# A longer step is used only if it leaves at least this share of the time less without a sample. Scrapes that are late
# now and then leave a few steps of 30 s without one; each ends a gap.
_GAIN = 0.005


def request_gaps(hours: UsageHours, window: Window, *, first_hour: int) -> RequestGaps | None:
    """Find the gaps between the requests of a workload; None if no source reports requests.

    A scrape interval may be longer than SCRAPE_S, or scrapes may be late: the step is the shortest of 30, 60, 120 and
    300 s with which the samples cover about as much time as with any longer one. Where the source has only the window's
    steps, it is these.

    Args:
        hours: of the window.
        window: the time that they cover.
        first_hour: first hour with a sample of a device: without pods there are no requests.
    """
    before_s = max(0, first_hour * HOUR_S - window.start_s)
    if hours.scrapes is None or not hours.scrapes.hours:
        return None if hours.requests is None else _coarse(hours.requests, window, before_s)
    rows = hours.scrapes
    silent, known = (_on_window(rows, name, window, SCRAPE_S) for name in ("silent", "known"))
    known[: before_s // SCRAPE_S] = False
    steps_s = [step_s for step_s in _STEPS_S if not window.seconds % step_s]
    covered = [float(np.mean(_any(known, step_s))) for step_s in steps_s]
    step_s = next(one for one, share in zip(steps_s, covered, strict=True) if share >= max(covered) - _GAIN)
    used = _any(known & ~silent, step_s)
    seen = _any(known, step_s)
    return RequestGaps.of(seen & ~used, seen, start_s=window.start_s, step_s=step_s)


def _coarse(rows: HourRows, window: Window, before_s: int) -> RequestGaps:
    """From steps of the window, whose missing samples are not told apart from requests."""
    silent = _on_window(rows, "silent", window, window.step_s)
    inside = np.zeros(silent.size, dtype=bool)
    first = (rows.first_hour * HOUR_S - window.start_s) // window.step_s
    inside[max(first, 0) : max(first, 0) + rows.hours * (HOUR_S // window.step_s)] = True
    inside[: before_s // window.step_s] = False
    return RequestGaps.of(silent & inside, inside, start_s=window.start_s, step_s=window.step_s)


def _on_window(rows: HourRows, name: str, window: Window, step_s: int) -> Mask:
    """One bit column on the steps of a window; False outside the rows."""
    mask = np.zeros(window.seconds // step_s, dtype=bool)
    bits = unpacked(rows.rows[name], HOUR_S // step_s)
    first = (rows.first_hour * HOUR_S - window.start_s) // step_s
    start, end = max(0, -first), min(bits.size, mask.size - first)
    if start < end:
        mask[first + start : first + end] = bits[start:end]
    return mask


def _any(mask: Mask, step_s: int) -> Mask:
    """Join steps of SCRAPE_S to longer ones: whether the mask is set in any of them."""
    joined = step_s // SCRAPE_S
    # A tenth of the time of a reduction along a short axis.
    return reduce(np.logical_or, (mask[first::joined] for first in range(joined)))
