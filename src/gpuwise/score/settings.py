"""What scoring may be told."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ScoreSettings:
    """Thresholds of idleness and the memory of the distributions."""

    half_life_s: int = 7 * 86_400
    """Age at which a sample counts half. VPA's 24 h suits CPUs of web services; GPU work repeats by the week."""

    activity_idle_below: float = 0.02
    """Activity ratios under this are idle: exporters round to whole percent, and monitoring itself shows as 1 %."""

    min_idle_s: int = 900
    """Shorter pauses are the rhythm of use, not waste; gpu-pruner and KEDA wait 5 to 30 minutes."""

    full_coverage: float = 0.95
    """A sensor agrees that a span was idle only if it sampled at least this share of it."""

    settle_s: int = 900
    """Hours are kept for later runs only when they ended this long ago: remote writes and rules lag by minutes."""
