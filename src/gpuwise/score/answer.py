"""What the native kernels compute from fixed numbers: machines that score one fleet must agree to the last bit."""

import hashlib
import math

import numpy as np

from gpuwise.model.hours import DEVICE_SIGNALS, HourRows, device_rows
from gpuwise.model.signal import SIGNALS, Signal
from gpuwise.score import _hours, _sheet, histogram
from gpuwise.score.summary import DeviceSummary

_STEPS, _PER_HOUR = 720, 60


def kernel_answer() -> str:
    """A digest of what they make of one device; compilers build different files from the same kernels."""
    signal = Signal.SM_ACTIVITY
    values = np.modf(np.arange(_STEPS) * math.sqrt(2.0))[0].astype(np.float32)
    values[::7] = np.nan
    layout = histogram.LAYOUTS[signal]
    counts = np.zeros((1, histogram.buckets(layout)), dtype=np.uint32)
    rows = device_rows(_PER_HOUR, _STEPS // _PER_HOUR)
    column = _hours.Column(
        samples=values, highest=SIGNALS[signal].highest, limit=0.05, voter=1, activity=True,
        base=histogram.base(layout), counts=counts, into=DEVICE_SIGNALS.index(signal),
    )  # fmt: skip
    _hours.count([column], _STEPS, 0, _PER_HOUR, 0, rows)
    digest = hashlib.sha256(counts.tobytes())
    for name in sorted(rows):
        digest.update(np.ascontiguousarray(rows[name]).tobytes())
    one, hours = DeviceSummary.of(HourRows(0, rows)), _STEPS // _PER_HOUR
    placed = _sheet.Placed(0, one.idle, one.active, one.sampled, one.first_step, _STEPS, 0, 1 / 3)
    _, _, _, quiet, gpus, _ = _sheet.arrange([placed], None, hours, _PER_HOUR, 0, 1)
    weekly, _ = _sheet.by_hour_of_week(quiet, gpus, None, gpus, 0, (0, hours), _PER_HOUR, 0.5)
    _, weights = _sheet.add_today(None, counts, histogram.midpoints(layout))
    for array in (one.busy_sum, one.measures, gpus, weekly, weights):
        digest.update(array.tobytes())
    return digest.hexdigest()[:12]
