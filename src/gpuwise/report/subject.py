"""The number of a report in one line, for the subject of an e-mail and the first block of a chat message."""

from gpuwise.model.report import WeeklyReport
from gpuwise.report import wording


def subject(report: WeeklyReport) -> str:
    """Return the line; it has no text that users chose, and no character that a header cannot have.

    "GPU waste W20: $4,210 of $18,300 idle, $1,950/month can be saved". Where nothing has a price it counts GPU-hours.
    """
    text = f"GPU waste{_week(report)}: {_idle(report)}, {_saving(report)}"
    return text.replace("\u00a0", " ")


def _week(report: WeeklyReport) -> str:
    return "" if report.week is None else f" {report.week.rpartition('-')[2]}"


def _idle(report: WeeklyReport) -> str:
    bill = report.bill
    if wording.unmeasured(report):
        return f"not measured, {wording.gpu_hours(bill.unknown_gpu_s / 3600)} are unknown"
    if bill.unpriced_gpu_s >= bill.capacity_gpu_s > 0 or bill.capacity_usd <= 0:
        idle, whole = (wording.gpu_hours(seconds / 3600) for seconds in (bill.idle_gpu_s, bill.capacity_gpu_s))
        return f"{idle} of {whole} idle"
    more = f" and {wording.gpu_hours(bill.unpriced_idle_gpu_h)} without a price" if bill.unpriced_idle_gpu_h else ""
    return f"{wording.usd(bill.idle_usd)} of {wording.usd(bill.capacity_usd)}{more} idle"


def _saving(report: WeeklyReport) -> str:
    if report.predicted_usd_month is None:
        return "savings are not known"
    if not report.recommendations:
        return "nothing to recommend"
    if report.predicted_usd_month > 0:
        return f"{wording.usd(report.predicted_usd_month)}/month can be saved"
    return f"{len(report.recommendations)} recommendation{'s' if len(report.recommendations) != 1 else ''}"
