"""One failover on the virtual clock: a write of the leader hangs, and arrives after the next leader has written."""

import random

from tests.failovers.result import Result
from tests.faults.choosing import NoFaults
from tests.faults.invariants import violations
from tests.faults.playing import quiesce
from tests.faults.points import Fault
from tests.faults.process import Process
from tests.faults.targets import SUBJECTS
from tests.faults.world import HOUR_S, World

_DEADLINE_S = 600
# A drain waits for the budget after its first steps: it shows nothing about the time to resume.
_AMONG = tuple(one for one in SUBJECTS if one.name != "drained")


class _HangsOnce(NoFaults):
    """One of the leader's writes hangs, and the leader is stopped."""

    def __init__(self, held: int) -> None:
        super().__init__()
        self._left, self.active = held, True

    def __call__(self, process, point, possible):
        if possible != "api before" or not self.active:
            return None
        self._left -= 1
        return Fault.HANG_CRASH if self._left == 0 else None


def simulated(seed: int) -> Result:
    """Run one.

    Args:
        seed: decides the targets, which write hangs, and how the clocks of the two nodes differ.
    """
    rng = random.Random(seed)
    faults = _HangsOnce(rng.randint(1, 2))
    world = World(rng, tuple(rng.sample(_AMONG, 3)))
    old, new = faults.processes = [Process(name, world, faults) for name in "ab"]
    faults.people = Process("ada", world, faults, elected=False)
    old.run_pass()
    held = world.in_flight.pop()[1]  # until the next leader has written
    stopped_s, before = world.now_s, len(world.effects)
    world.jump(rng.choice((0, 0, HOUR_S, -HOUR_S)))
    while len(world.effects) == before:
        world.advance(1, stopped=old.name)
        new.run_pass()
        if world.now_s - stopped_s > _DEADLINE_S:
            return Result(_DEADLINE_S, ("the next leader wrote nothing",))
    resumed_s = world.now_s - stopped_s
    held()
    return Result(resumed_s, (*quiesce(world, faults), *violations(world)))
