"""Play a script in a world; afterwards the faults stop, all must become quiet, and the invariants are checked."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.choosing import NoFaults
from tests.faults.invariants import violations
from tests.faults.points import Tally
from tests.faults.process import Process
from tests.faults.world import HOUR_S, World

QUIET_PASSES = 12
"""Passes until which the state must have converged after the last fault: 3 targets, 2 at a time, a breaker each."""
_ROUNDS = 16
"""Rounds of 10 min: the budget is 2 effects an hour, and the three steps of a drain may wait for two other targets."""


@dataclass(slots=True)
class Result:
    """What became of one schedule."""

    seed: int
    violations: list[str]
    tally: Tally
    trace: list[str]


def carry_out(seed: int, world: World, faults: NoFaults, script: Callable[[World], None]) -> Result:
    """Run a script, stop the faults, let everything become quiet, and check."""
    faults.processes = [Process(name, world, faults) for name in "ab"]
    faults.people = Process("ada", world, faults, elected=False)
    script(world)
    found = quiesce(world, faults)
    return Result(seed, [*found, *violations(world)], world.tally, world.trace)


def finish(world: World, faults: NoFaults) -> None:
    """Let the actions of nodes and the watches end, as the passes of some hours do."""
    for _ in range(_ROUNDS):
        if not world.ledger.unsettled():
            return
        world.advance(600)
        leading = [one for one in faults.processes if one.epoch is not None]
        (leading or faults.processes)[0].run_pass()


def quiesce(world: World, faults: NoFaults) -> list[str]:
    """Stop the faults, and run passes until nothing changes; return a violation if that takes too long (I24)."""
    faults.active = False
    world.note("-- the faults stop")
    world.skew_s, world.lagging = 0, False
    world.signals.clear()
    world.settle()
    faults.people.order("resume")
    finish(world, faults)
    quiet = 0
    for _ in range(QUIET_PASSES):
        # Longer than a cool-down, an open breaker and a clock that was an hour ahead; then what is in flight.
        world.advance(26 * HOUR_S)
        before = len(world.effects), len(world.ledger.unsettled())
        for process in faults.processes:
            process.run_pass()
        finish(world, faults)
        quiet = quiet + 1 if before == (len(world.effects), 0) else 0
        if quiet == 2:
            return []
    return [f"I24 convergence: {QUIET_PASSES} passes after the last fault, gpuwise still acts"]
