"""Settings of the methods."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from gpuwise.model.inventory import WorkloadClass

HOUR_S = 3_600


@dataclass(frozen=True, slots=True)
class RecommendSettings:
    """Thresholds and margins of the methods."""

    idle_after_h: Mapping[WorkloadClass, int] = field(
        default_factory=lambda: {
            WorkloadClass.ENDPOINT: 72,
            WorkloadClass.NOTEBOOK: 24,
            WorkloadClass.BATCH: 24,
            WorkloadClass.TRAINING: 24,
        }
    )
    """Idle hours, by class, after which a workload counts as forgotten: a quiet weekend (65 h) must not stop an
    endpoint."""

    orphaned_after_h: int = 336
    """Idle hours after which a workload without an owner label counts as orphaned: two weeks, a sprint."""

    agreeing_sensors: int = 2
    """Number of independent sensors that must agree that a workload is idle (I2)."""

    min_observed_h: int = 72
    """Hours of data that are required to size a workload: KRR requires 3 h, and its users were OOM-killed (krr#110)."""

    min_coverage: float = 0.9
    """Share of samples that a signal must have before a workload is sized by it."""

    activity_quantile: float = 0.98
    """Quantile of activity by which a workload is sized: Kruize's performance quantile. Kruize's cost quantile of 0.60
    can be below a model's footprint."""

    headroom: float = 1.15
    """Factor on activity and on peak memory: the 15 % margin of VPA and KRR."""

    target_load: float = 0.7
    """Highest SM activity of a replica at peak load: above it, queues grow fast (Kingman's formula, 1961)."""

    min_replicas: int = 2
    """Minimum number of replicas of an endpoint: one must answer while the other restarts."""

    max_tenants: int = 4
    """Maximum number of pods on one GPU without MIG; the interference of more pods is not predictable."""

    min_unused_span_h: int = 4
    """Minimum number of consecutive unused hours: a start, its checks and its warm-up can take most of an hour."""

    min_weeks: int = 2
    """Number of weeks in which the same hours must have been unused: one week does not show a pattern."""

    cold_start_cost_s: float = 600.0
    """Cost of a cold start of an endpoint of which no start was seen, in seconds of an idle GPU: twice KEDA's default
    cool-down. Loading a base model took 23 s at the median and 52 s at p99 (GenTD26); the difference is for the pod,
    its image, and the users who wait."""

    waiting_user_cost_s: float = 300.0
    """Cost of the users who wait for a cold start, in seconds of an idle GPU. It is added to the time that the
    endpoint's pods took from their start until they were ready: KEDA's default cool-down."""

    min_rest_share: float = 0.2
    """Minimum share of its time that stopping an endpoint in its idle gaps must save: less is not worth the effort."""

    spot_reclaims_month: float = 0.2
    """Share of spot nodes that are reclaimed within a month: the lower end of the worst band of AWS's Spot Advisor. The
    fleet's own spot nodes can only raise it."""

    checkpoint_save_s: float = 60.0
    """Seconds to save a checkpoint; an assumption, because no metric reports it."""

    restart_s: float = 600.0
    """Seconds from a reclaim to the next training step, with a new node, image and checkpoint; an assumption."""

    deadline_margin_s: Annotated[int, Field(ge=0)] = 1_800
    """Seconds before its deadline at which a job (`gpuwise.dev/deadline`) must be done: a pass of the loop, or a person
    who carries out its advice, may be late by this much. On public traces with passes every hour, 900 s cost 0.8 points
    less above the omniscient program, and 3,600 s cost 2.5 points more."""

    usd_per_kwh: float | None = None
    """Price of energy, if you pay for energy; without it gpuwise recommends no power limits."""

    allowed_regions: tuple[str, ...] = ()
    """Regions whose GPUs may be recommended; if empty, those in which the workload runs now."""

    regions_by_data_class: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Regions in which work with each class of data (`gpuwise.dev/data-class`) may run. It is moved nowhere else, and
    work that runs elsewhere is a finding."""

    lifetime_days: int = 7
    """Days after which a recommendation expires."""

    @property
    def lifetime_s(self) -> int:
        """`lifetime_days` in seconds."""
        return self.lifetime_days * 24 * HOUR_S
