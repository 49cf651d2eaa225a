"""The latest report as Prometheus metrics, for dashboards and alerts."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from gpuwise import __version__
from gpuwise.model.report import BudgetStatus, WeeklyReport

UNCLAIMED = "(none)"
"""Value of the label `team` for workloads without an owner; Prometheus drops an empty label."""

_BUDGET = ("budget", "subject")
_Samples = Mapping[tuple[str, ...], float]
_Metric = tuple[str, str, tuple[str, ...], Callable[[WeeklyReport], _Samples]]


def _gpu_seconds(report: WeeklyReport) -> _Samples:
    bill = report.bill
    return {
        ("used",): bill.used_gpu_s,
        ("idle",): bill.idle_gpu_s,
        ("outside",): bill.outside_gpu_s,
        ("unallocated",): bill.unallocated_gpu_s,
        ("unknown",): bill.unknown_gpu_s,
        ("stranded",): bill.stranded_gpu_s,
    }


def _dollars(report: WeeklyReport) -> _Samples:
    bill = report.bill
    return {
        ("used",): bill.used_usd,
        ("idle",): bill.idle_usd,
        ("outside",): bill.outside_usd,
        ("unallocated",): bill.unallocated_usd,
        ("unknown",): bill.unknown_usd,
        ("stranded",): bill.stranded_usd,
    }


def _savings(report: WeeklyReport) -> _Samples:
    return _summed(((one.finding,), one.saving.usd_month) for one in report.recommendations)


def _summed(amounts: Iterable[tuple[tuple[str, ...], float]]) -> _Samples:
    total: dict[tuple[str, ...], float] = {}
    for key, amount in amounts:
        total[key] = total.get(key, 0.0) + amount
    return total


def _by_team(amounts: Iterable[tuple[str | None, float | None]]) -> _Samples:
    """Amounts by team; a team without a known price has no sample, which is not 0."""
    return _summed(((team or UNCLAIMED,), amount) for team, amount in amounts if amount is not None)


def _counted(keys: Iterable[tuple[str, ...]]) -> _Samples:
    return {key: float(count) for key, count in Counter(keys).items()}


def _coverage(report: WeeklyReport) -> _Samples:
    return {} if report.quality.coverage is None else {(): report.quality.coverage}


def _of_budgets(amount: Callable[[BudgetStatus], float | None]) -> Callable[[WeeklyReport], _Samples]:
    """An amount of each budget; a budget without it has no sample, which is not 0."""

    def samples(report: WeeklyReport) -> _Samples:
        amounts = ((_budget(one), amount(one)) for one in report.budgets)
        return {labels: value for labels, value in amounts if value is not None}

    return samples


def _budget(one: BudgetStatus) -> tuple[str, ...]:
    return (one.name, one.subject)


def _forecasts(report: WeeklyReport) -> _Samples:
    """The expected cost of each budget's month, and the ends of its interval."""
    return {
        (*_budget(one), bound): usd
        for one in report.budgets
        for bound, usd in (("low", one.low_usd), ("expected", one.forecast_usd), ("high", one.high_usd))
        if usd is not None
    }


def _thresholds(report: WeeklyReport) -> _Samples:
    """The highest threshold that each budget has reached; one that has reached none has no sample."""
    return {_budget(one): max(one.alerts) for one in report.budgets if one.alerts}


# Name, help, labels, samples by label values. Amounts are for the report's week, unless the name ends in per_month.
_METRICS: tuple[_Metric, ...] = (
    ("gpuwise_fleet_gpu_seconds", "GPU time of the week, by class.", ("class",), _gpu_seconds),
    ("gpuwise_fleet_cost_usd", "Cost of the week's GPU time, by class.", ("class",), _dollars),
    (
        "gpuwise_fleet_unpriced_gpu_seconds",
        "GPU time of the week for which no price is known; it is not part of the cost.",
        (),
        lambda report: {(): report.bill.unpriced_gpu_s},
    ),
    (
        "gpuwise_team_cost_usd",
        "Cost of the GPUs that were allocated to a team in the week.",
        ("team",),
        lambda report: _by_team((team.team, team.cost_usd) for team in report.teams),
    ),
    (
        "gpuwise_team_idle_cost_usd",
        "Cost of the GPUs that were allocated to a team but idle in the week.",
        ("team",),
        lambda report: _by_team((team.team, team.idle_usd) for team in report.teams),
    ),
    (
        "gpuwise_budget_usd",
        "Budget of a calendar month; it is of all clusters in the ledger's database.",
        _BUDGET,
        _of_budgets(lambda one: one.usd),
    ),
    (
        "gpuwise_budget_actual_usd",
        "Cost of the month until now.",
        _BUDGET,
        _of_budgets(lambda one: one.actual_usd),
    ),
    (
        "gpuwise_budget_forecast_usd",
        "Expected cost of the whole month, and the ends of its 90 % interval; absent without a forecast.",
        (*_BUDGET, "bound"),
        _forecasts,
    ),
    (
        "gpuwise_budget_threshold_reached_ratio",
        "Highest share in `alert_at` that the cost has reached; absent below the lowest.",
        _BUDGET,
        _thresholds,
    ),
    (
        "gpuwise_budget_breach_timestamp_seconds",
        "Midnight of the day on which the budget is used up, or is expected to be; absent if none is expected.",
        _BUDGET,
        _of_budgets(lambda one: one.breach_s),
    ),
    (
        "gpuwise_budget_unpriced_gpu_seconds",
        "GPU time of the month for which no price is known; it is not part of the cost.",
        _BUDGET,
        _of_budgets(lambda one: one.unpriced_gpu_h * 3600.0),
    ),
    (
        "gpuwise_recommendations",
        "Open recommendations.",
        ("finding",),
        lambda report: _counted((one.finding,) for one in report.recommendations),
    ),
    (
        "gpuwise_recommended_saving_usd_per_month",
        "Saving of the open recommendations.",
        ("finding",),
        _savings,
    ),
    (
        "gpuwise_realised_saving_usd_per_month",
        "Saving of the week's applied changes that the cluster still has.",
        (),
        lambda report: {(): report.realised_usd_month},
    ),
    (
        "gpuwise_applied_saving_usd_per_month",
        "Saving of the changes that were applied in the week and not undone.",
        (),
        lambda report: {(): report.applied_usd_month},
    ),
    (
        "gpuwise_blocked",
        "Blocked changes, by step and reason.",
        ("stage", "reason"),
        lambda report: _counted((item.stage, item.reason) for item in report.blocked),
    ),
    (
        "gpuwise_actions",
        "Actions of the week, by outcome.",
        ("status",),
        lambda report: _counted(
            (action.outcome.status if action.outcome else "in-flight",) for action in report.actions
        ),
    ),
    (
        "gpuwise_data_coverage_ratio",
        "Share of the allocated device time that has an activity sample.",
        (),
        _coverage,
    ),
    (
        "gpuwise_report_timestamp_seconds",
        "When the report was generated, epoch seconds.",
        (),
        lambda report: {(): float(report.generated_s)},
    ),
)


class FleetCollector(Collector):
    """The fleet's metrics, computed from the latest report at each scrape; without a report there are no series.

    Args:
        latest: returns the latest report, None before the first run.
    """

    def __init__(self, latest: Callable[[], WeeklyReport | None]) -> None:
        self._latest = latest

    def describe(self) -> Iterator[Metric]:
        """Return the metric families without samples."""
        yield from _families(None)

    def collect(self) -> Iterator[Metric]:
        """Return the metric families with the latest report's numbers."""
        yield from _families(self._latest())


def _families(report: WeeklyReport | None) -> Iterator[Metric]:
    for name, text, labels, samples in _METRICS:
        family = GaugeMetricFamily(name, text, labels=labels)
        for values, number in ({} if report is None else samples(report)).items():
            family.add_metric(values, number)
        yield family
    build = InfoMetricFamily("gpuwise_build", "Version of gpuwise.")
    build.add_metric([], {"version": __version__})
    yield build
