"""The profile that the methods get, without what the bill needs."""

from gpuwise.model.profile import IdleEvidence, UsageProfile
from gpuwise.model.usage import UsageSeries
from gpuwise.score.profile import score_series
from gpuwise.score.settings import ScoreSettings


def profile(series: UsageSeries, settings: ScoreSettings) -> UsageProfile:
    """Score one workload."""
    return score_series(series, settings).profile


def spans_of(idle: IdleEvidence) -> list[tuple[int, int]]:
    """First second of each idle interval, and first second after it."""
    return list(zip(idle.intervals.start_s.tolist(), idle.intervals.end_s.tolist(), strict=True))
