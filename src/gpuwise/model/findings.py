"""What is wrong with a workload or a node."""

from enum import StrEnum


class Finding(StrEnum):
    """What is wrong."""

    IDLE = "Idle"
    ORPHANED = "Orphaned"
    IDLE_BETWEEN_USES = "IdleBetweenUses"
    UNUSED_HOURS = "UnusedHours"
    GPU_OVERPROVISIONED = "GPUOverprovisioned"
    REPLICAS_OVERPROVISIONED = "ReplicasOverprovisioned"
    GPU_SHAREABLE = "GPUShareable"
    GPU_TYPE_OVERPROVISIONED = "GPUTypeOverprovisioned"
    INTERRUPTIBLE_ON_DEMAND = "InterruptibleOnDemand"
    DEADLINE_CAPACITY_MISFIT = "DeadlineCapacityMisfit"
    POWER_LIMIT_OVERPROVISIONED = "PowerLimitOverprovisioned"
    NODE_UNDERUTILISED = "NodeUnderutilised"
    MIG_GEOMETRY_MISFIT = "MIGGeometryMisfit"
    OUTSIDE_DATA_REGION = "OutsideDataRegion"
    POD_PENDING = "PodPending"
