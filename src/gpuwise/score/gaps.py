"""The gaps between requests, from stored hours, at the finest step that the samples support."""

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


def request_gaps(hours: UsageHours, window: Window) -> RequestGaps | None:
    """Find the gaps between the requests of a workload; None if no source reports requests.

    A scrape interval may be longer than SCRAPE_S, or scrapes may be late: the step is the shortest of 30, 60, 120 and
    300 s with which the samples cover about as much time as with any longer one. Where the source has only the window's
    steps, it is these.

    Args:
        hours: of the window.
        window: the time that they cover.
    """
    if hours.scrapes is None or not hours.scrapes.hours:
        return None if hours.requests is None else _coarse(hours.requests, window)
    rows = hours.scrapes
    silent, known = (_on_window(rows, name, window, SCRAPE_S) for name in ("silent", "known"))
    steps_s = [step_s for step_s in _STEPS_S if not window.seconds % step_s]
    folded = [(step_s, *_folded(silent, known, step_s // SCRAPE_S)) for step_s in steps_s]
    covered = [float(np.mean(one)) for _, _, one in folded]
    step_s, silent, known = next(
        one for one, share in zip(folded, covered, strict=True) if share >= max(covered) - _GAIN
    )
    return RequestGaps.of(silent, known, start_s=window.start_s, step_s=step_s)


def _coarse(rows: HourRows, window: Window) -> RequestGaps:
    """From steps of the window, whose missing samples are not told apart from requests."""
    silent = _on_window(rows, "silent", window, window.step_s)
    inside = np.zeros(silent.size, dtype=bool)
    first = (rows.first_hour * HOUR_S - window.start_s) // window.step_s
    inside[max(first, 0) : max(first, 0) + rows.hours * (HOUR_S // window.step_s)] = True
    return RequestGaps.of(silent, inside, start_s=window.start_s, step_s=window.step_s)


def _on_window(rows: HourRows, name: str, window: Window, step_s: int) -> Mask:
    """One bit column on the steps of a window; False outside the rows."""
    mask = np.zeros(window.seconds // step_s, dtype=bool)
    bits = unpacked(rows.rows[name], HOUR_S // step_s)
    first = (rows.first_hour * HOUR_S - window.start_s) // step_s
    start, end = max(0, -first), min(bits.size, mask.size - first)
    if start < end:
        mask[first + start : first + end] = bits[start:end]
    return mask


def _folded(silent: Mask, known: Mask, steps: int) -> tuple[Mask, Mask]:
    """Steps joined: known if any of them is, silent if also none of them had a request."""
    seen = np.logical_or.reduce(known.reshape(-1, steps), axis=1)
    used = np.logical_or.reduce((known & ~silent).reshape(-1, steps), axis=1)
    return seen & ~used, seen
