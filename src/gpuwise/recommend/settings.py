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

    orphaned_after_h: int = 336
    """Idle for two weeks with no owner on any label is nobody's: a sprint has passed and no one missed it."""

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

    target_load: float = 0.7
    """SM activity that a replica may reach at its busiest: above it queues grow fast (Kingman's formula, 1961)."""

    min_replicas: int = 2
    """An endpoint that has two replicas keeps them: one must answer while the other restarts."""

    max_tenants: int = 4
    """Pods on one card without slices; the interference of more is not foreseen."""

    min_unused_span_h: int = 4
    """Hours in a row worth stopping for: a start, its checks and its warm-up can take most of one."""

    min_weeks: int = 2
    """Weeks in which the same hours must have passed without use: once is no habit."""

    cold_start_cost_s: float = 600.0
    """What starting an endpoint anew costs, in seconds of an idle GPU: twice KEDA's default wait. Loading a base model
    took 23 s at the median and 52 s at p99 (GenTD26); the rest is for the pod, its image, and whoever waits."""

    min_rest_share: float = 0.2
    """Share of its time that stopping an endpoint in its rests must spare to be worth the machinery."""

    spot_reclaims_month: float = 0.2
    """Share of spot machines taken back within a month: where the worst band of AWS's Spot Advisor begins."""

    checkpoint_save_s: float = 60.0
    """What saving a checkpoint takes: assumed, for nothing measures it."""

    restart_s: float = 600.0
    """From a reclaim to the next step of training, with a new node, image and checkpoint: assumed."""

    usd_per_kwh: float | None = None
    """What energy costs where it is paid for by the kilowatt-hour; without it no power limit is recommended."""

    allowed_regions: tuple[str, ...] = ()
    """Regions whose cards may be recommended; none named means those that a workload runs in now."""

    lifetime_days: int = 7
    """A recommendation older than this is not to be trusted."""

    @property
    def lifetime_s(self) -> int:
        """`lifetime_days` in seconds."""
        return self.lifetime_days * 24 * HOUR_S
