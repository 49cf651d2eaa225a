"""What the recommenders may be told."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gpuwise.model.inventory import WorkloadClass

HOUR_S = 3_600


@dataclass(frozen=True, slots=True)
class RecommendSettings:
    """How long, how sure and how roomy."""

    idle_after_h: Mapping[WorkloadClass, int] = field(
        default_factory=lambda: {
            WorkloadClass.ENDPOINT: 72,
            WorkloadClass.NOTEBOOK: 24,
            WorkloadClass.BATCH: 24,
            WorkloadClass.TRAINING: 24,
        }
    )
    """Idle for this long is forgotten: a quiet weekend (65 h) must not stop an endpoint."""

    agreeing_sensors: int = 2
    """Independent sensors that must agree on idleness (I2)."""

    min_observed_h: int = 72
    """Less than three days of data sizes nothing: KRR asks for 3 h and its users were OOM-killed (krr#110)."""

    min_coverage: float = 0.9
    """Share of samples under which a signal is not known well enough to size by."""

    activity_quantile: float = 0.98
    """Kruize's performance quantile; its cost quantile of 0.60 can sit below a model's footprint."""

    headroom: float = 1.15
    """VPA's and KRR's 15 % margin, on activity and on peak memory."""

    lifetime_days: int = 7
    """A recommendation older than this is not to be trusted."""
