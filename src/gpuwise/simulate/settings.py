"""How large a fleet to simulate, and for how long."""

from dataclasses import dataclass

from gpuwise.model.errors import InputError
from gpuwise.model.usage import DAY_S, Window

GPUS_PER_NODE = 8
FULL_NODES = 40
"""The size that the catalogue of workloads is written for; other sizes take a share of it."""


@dataclass(frozen=True, slots=True)
class FleetSettings:
    """Size of a simulated fleet.

    Attributes:
        nodes: machines of 8 GPUs each; at least 4, one of each GPU type.
        days: length of the recording, whole days that end at `now_s`.
        step_s: sampling step, seconds; divides a day.
    """

    nodes: int = FULL_NODES
    days: int = 28
    step_s: int = 60

    def __post_init__(self) -> None:
        if self.nodes < 4:
            raise InputError(f"a simulated fleet of {self.nodes} nodes has no room for 4 GPU types", hint="ask for 4")
        if self.days < 1:
            raise InputError(f"a recording of {self.days} days is empty", hint="ask for at least 1 day")
        if self.step_s < 1 or DAY_S % self.step_s:
            raise InputError(f"a step of {self.step_s} s does not divide a day", hint="use 60 s")

    def window(self, now_s: int) -> Window:
        """The span that is recorded when the clock reads `now_s`."""
        return Window.ending(now_s, length_s=self.days * DAY_S, step_s=self.step_s)
