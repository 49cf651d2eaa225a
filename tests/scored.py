"""The profile that the methods get, without what the bill needs."""

from gpuwise.model.profile import UsageProfile
from gpuwise.model.usage import UsageSeries
from gpuwise.score.profile import score_series
from gpuwise.score.settings import ScoreSettings


def profile(series: UsageSeries, settings: ScoreSettings) -> UsageProfile:
    """Score one workload."""
    return score_series(series, settings).profile
