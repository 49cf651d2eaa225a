"""The way from the bill to useful work: what is taken away at each step, and what is left."""

from collections.abc import Sequence
from dataclasses import dataclass

from gpuwise.model.report import WeeklyReport
from gpuwise.report.wording import by_time, gpu_hours, share, usd

_TAKEN = (
    ("unallocated", "Not allocated to a pod"),
    ("stranded", "Stranded beside MIG instances"),
    ("outside", "Used outside Kubernetes"),
    ("unknown", "Unknown: nobody measured it"),
    ("idle", "Allocated but idle"),
)
"""Classes in the order in which they are taken away: what no pod can have had first, what pods did not use last."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the way.

    Attributes:
        name: class of the bill, or "whole".
        text: its words.
        size: dollars, or GPU-hours where shares are of the time.
        left: what is left after it; 0 for the last one.
        amount: the size as text, with a minus where it is taken away.
        share: of the whole.
    """

    name: str
    text: str
    size: float
    left: float
    amount: str
    share: float | None


def steps(report: WeeklyReport) -> Sequence[Step]:
    """List the steps, from the whole bill to what was used; classes without time are left out, except for idle time."""
    bill, hours = report.bill, by_time(report)
    written = gpu_hours if hours else usd

    def size(name: str) -> float:
        return float(getattr(bill, f"{name}_gpu_s")) / 3600 if hours else float(getattr(bill, f"{name}_usd"))

    whole = left = size("capacity")
    first = "Allocated to them" if report.selection is not None else "The whole bill"
    found = [Step("whole", first, whole, 0.0, written(whole), None)]
    for name, text in _TAKEN:
        if size(name) > 0 or name == "idle":
            left = max(0.0, left - size(name))
            amount = f"\N{MINUS SIGN}{written(size(name))}"
            found.append(Step(name, text, size(name), left, amount, share(size(name), whole)))
    used = size("used")
    return [*found, Step("used", "Used", used, 0.0, written(used), share(used, whole))]
