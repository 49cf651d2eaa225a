"""Size and length of a simulated fleet."""

from dataclasses import dataclass

from gpuwise.model.errors import InputError
from gpuwise.model.usage import DAY_S, Window

GPUS_PER_NODE = 8
FULL_NODES = 40
"""The fleet size that the catalogue is written for; other sizes run a share of it."""


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
            raise InputError(f"{self.nodes} nodes are too few for 4 GPU types", hint="use at least 4 nodes")
        if self.days < 1:
            raise InputError(f"a recording of {self.days} days is empty", hint="use at least 1 day")
        if self.step_s < 1 or DAY_S % self.step_s:
            raise InputError(f"a step of {self.step_s} s does not divide a day", hint="use 60 s")

    def window(self, now_s: int) -> Window:
        """The window of a recording that ends at `now_s`."""
        return Window.ending(now_s, length_s=self.days * DAY_S, step_s=self.step_s)
