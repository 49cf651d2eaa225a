"""Settings of scoring."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ScoreSettings:
    """Thresholds of idleness, and the half-life of the distributions."""

    half_life_s: int = 7 * 86_400
    """Age at which the weight of a sample is half. VPA's 24 h suits web services on CPUs; GPU work repeats weekly."""

    activity_idle_below: float = 0.02
    """Activity ratios below this are idle: exporters round to whole percent, and monitoring itself shows as 1 %."""

    min_idle_s: int = 900
    """Shorter idle gaps are part of normal use, not waste; gpu-pruner and KEDA wait 5 to 30 minutes."""

    full_coverage: float = 0.95
    """A sensor confirms that a span was idle only if it sampled at least this share of it."""

    settle_s: int = 900
    """Hours are stored for later runs only if they ended this long ago: remote writes and rules lag by minutes."""
