"""How allocated GPU time was used: by hour of the week, and by activity."""

from dataclasses import dataclass

WEEK_H = 168
TENTHS = 10


@dataclass(frozen=True, slots=True)
class HoursOfWeek:
    """Allocated GPU time by hour of the week, in the report's time zone; hour 0 begins on Monday at 00:00.

    The hours sum to the used and to the idle time of the bill, in each of the two tuples of 168.

    Attributes:
        used_gpu_h: GPU-hours allocated and not idle, summed over the weeks of the report.
        idle_gpu_h: GPU-hours allocated and idle.
    """

    used_gpu_h: tuple[float, ...]
    idle_gpu_h: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Activity:
    """Allocated GPU time by how active its workloads' devices were: SM activity, or utilisation where that is missing.

    Attributes:
        gpu_h: GPU-hours by activity, from below 10 % to 90 % and more: ten numbers. They are the allocated time of each
            workload, divided as its samples are; the weight of a sample halves in `score.half_life_s`.
        unknown_gpu_h: GPU-hours of workloads without a sample of either.
    """

    gpu_h: tuple[float, ...]
    unknown_gpu_h: float
