"""How fast a workload works: units of declared work per second, by device and power limit."""

from dataclasses import dataclass


@dataclass(frozen=True)  # no slots: pickling those takes 25 µs each
class Pace:
    """The work that a workload did while all its devices were of one kind and had one power limit.

    Only steps count in which the work was sampled and every device was at work.

    Attributes:
        gpu_type: canonical name of the GPU type.
        gpu_fraction: share of a whole GPU that each device is; 1/7 for a 1g slice.
        devices: number of devices at work at once.
        limit_w: power limit in force on each device, watts; None if it was not sampled.
        first_s: beginning of the first of these steps, epoch seconds.
        last_s: end of the last one.
        seconds: duration of these steps.
        work: units of work done in them; 0.0 if none was done.
        energy_j: energy of all devices in them, joules; a step without a sample of power counts with the mean of the
            others. None if power was sampled in less than 90 % of them.
    """

    gpu_type: str
    gpu_fraction: float
    devices: int
    limit_w: float | None
    first_s: int
    last_s: int
    seconds: float
    work: float
    energy_j: float | None

    @property
    def work_per_s(self) -> float:
        """Units of work per second."""
        return self.work / self.seconds
