"""One schedule: a seed decides the targets, what happens in which order, and what fails; then all must become quiet."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from tests.faults import points
from tests.faults.invariants import violations
from tests.faults.points import Fault, Point, Tally
from tests.faults.process import Process
from tests.faults.targets import SUBJECTS, Subject
from tests.faults.world import HOUR_S, World

from gpuwise.model.command import OutcomeStatus

QUIET_PASSES = 12
"""Passes until which the state must have converged after the last fault: 3 targets, 2 at a time, a breaker each."""

_POSSIBLE = {
    "api before": points.BEFORE_API,
    "api after": points.AFTER_API,
    "ledger before": points.BEFORE_LEDGER,
    "ledger after": points.AFTER_LEDGER,
    "read": points.READS,
    "lease before": points.BEFORE_LEASE,
    "lease after": points.AFTER_LEASE,
}
_ROUNDS = 16
"""Rounds of 10 min: the budget is 2 effects an hour, and the three steps of a drain may wait for two other targets."""
_RARE_SHARE = 0.25
_FIRST = (Fault.CRASH, Fault.CONFLICT, Fault.TIMEOUT)
_PEOPLE = frozenset(points.PEOPLE)
_CLOSELY = frozenset({"web", "ada", "api", "drained", "sliced"})
"""Targets with further crashes two and three failpoints later; the others take the same paths as one of these."""


def fits(fault: Fault, possible: str) -> bool:
    """Whether a fault can happen at a failpoint of this sort."""
    return fault in _POSSIBLE[possible]


@dataclass(slots=True)
class Result:
    """What became of one schedule."""

    seed: int
    violations: list[str]
    tally: Tally
    trace: list[str]


class NoFaults:
    """Nothing fails."""

    def __init__(self) -> None:
        self.processes: list[Process] = []
        self.people: Process | None = None

    def __call__(self, process: Process, point: Point, possible: str) -> Fault | None:
        return None

    def read(self, process: Process) -> Fault | None:
        return None

    def election(self, process: Process, point: Point, possible: str) -> Fault | None:
        """The fault at a write of the Lease."""
        return None

    def person(self, world: World, fault: Fault) -> None:
        """A person acts while a process is in the middle of something."""
        person(self.people, world, fault)


class Drawn(NoFaults):
    """Faults at random points.

    Args:
        rng: of the schedule.
        share: probability of a fault at one failpoint.
        people: whether other people and controllers act, too.
    """

    def __init__(self, rng: random.Random, share: float, *, people: bool) -> None:
        super().__init__()
        self._rng, self._share, self.with_people = rng, share, people
        self.active = True

    def __call__(self, process, point, possible):
        if not self.active:
            return None
        # What only happens after another fault is rare: it fails more often, so that a crash hits each point.
        rare = point.step > 1 or point.operation in ("recover", "follow") or possible.startswith("api")
        if self._rng.random() >= (max(self._share, _RARE_SHARE) if rare else self._share):
            return None
        return self._choose(possible)

    def read(self, process):
        if not self.active or self._rng.random() >= self._share / 20:
            return None
        return self._choose("read")

    def election(self, process, point, possible):
        if not self.active or self._rng.random() >= self._share / 10:
            return None
        return self._rng.choice(_POSSIBLE[possible])

    def _choose(self, possible: str) -> Fault:
        if possible != "read" and self._rng.random() < 0.3:
            return Fault.CRASH
        faults = _POSSIBLE[possible]
        if not self.with_people:
            faults = [one for one in faults if one not in _PEOPLE]
        return self._rng.choice(faults)


class Planned(NoFaults):
    """Given faults at the failpoints of given numbers, counted in the order in which they are passed."""

    def __init__(self, faults: Mapping[int, Fault]) -> None:
        super().__init__()
        self._faults = faults
        self.active = True
        self.passed: list[tuple[str, Point]] = []
        self.elections: list[str] = []

    def __call__(self, process, point, possible):
        if not self.active:
            return None
        self.passed.append((possible, point))
        fault = self._faults.get(len(self.passed))
        return fault if fault in _POSSIBLE[possible] else None

    def election(self, process, point, possible):
        """Its writes have numbers of their own, below zero."""
        if not self.active:
            return None
        self.elections.append(possible)
        fault = self._faults.get(-len(self.elections))
        return fault if fault in _POSSIBLE[possible] else None


def person(who: Process, world: World, fault: Fault) -> None:
    """A person pauses, applies a recommendation or undoes an action."""
    world.persons += 1
    if fault is Fault.PAUSE:
        who.order(world.rng.choice(("pause", "resume")))
    elif fault is Fault.PERSON_APPLIES:
        known = sorted(one.id for one in world.ledger.recommendations())
        if known:
            who.apply(world.rng.choice(known))
    elif fault is Fault.PERSON_WAKES:
        stoppable = [one for one in world.subjects if one.kind != "Node"]
        if stoppable:
            who.wake(world.rng.choice(stoppable))
    else:
        done = [
            one.command.id
            for one in world.ledger.intents()
            if not one.step_of
            and (last := world.ledger.outcome(one.command.id)) is not None
            and last.status is OutcomeStatus.APPLIED
        ]
        if done:
            who.undo(world.rng.choice(done))


@lru_cache(maxsize=1)
def plans() -> tuple[tuple[Subject, Mapping[int, Fault]], ...]:
    """What the first seeds do: a fault at each failpoint in the life of each target, alone and with a crash soon after.

    Later faults hit what the product does only because of the first: recovery, the second attempt of a write, and what
    follows when a controller has reverted it, at once or found by the recovery.
    """
    found: list[tuple[Subject, Mapping[int, Fault]]] = []
    for subject in SUBJECTS:
        for number, possible in _first_times(subject):
            for fault in (one for one in _FIRST if one in _POSSIBLE[possible]):
                found.append((subject, {number: fault}))
                later = range(1, 4 if subject.name in _CLOSELY else 2)
                found += [(subject, {number: fault, number + more: Fault.CRASH}) for more in later]
            if Fault.REVERT in _POSSIBLE[possible]:
                reverted = {number: Fault.REVERT}
                found += [(subject, reverted | {number + later: Fault.CRASH}) for later in range(1, 7)]
                reverted = reverted | {number + 1: Fault.CRASH}
                found += [(subject, reverted | {number + 1 + later: Fault.CRASH}) for later in range(1, 9)]
    found += [(SUBJECTS[0], {-number: fault}) for number in range(1, 5) for fault in points.BEFORE_LEASE]
    return tuple(found)


def _first_times(subject: Subject) -> list[tuple[int, str]]:
    """The failpoints in the life of a target, each at the first time that it is passed."""
    seen, found = set(), []
    for number, (possible, point) in enumerate(lived(subject, {})[1], start=1):
        if point not in seen:
            seen.add(point)
            found.append((number, possible))
    return found


def run(seed: int) -> Result:
    """Run the schedule of a seed: the first seeds are planned, the others draw what happens."""
    if seed < len(plans()):
        return replace(lived(*plans()[seed])[0], seed=seed)
    return drawn(seed)


def drawn(seed: int) -> Result:
    """Run a schedule of random faults."""
    rng = random.Random(seed)
    subjects = tuple(rng.sample(SUBJECTS, 3))
    faults = Drawn(rng, rng.choice((0.02, 0.08, 0.2)), people=rng.random() < 0.6)
    return carry_out(seed, World(rng, subjects), faults, lambda world: _random_script(world, faults))


def lived(subject: Subject, planned: Mapping[int, Fault]) -> tuple[Result, list[tuple[str, Point]]]:
    """The life of one target: applied, undone by a person, and left alone; also the failpoints that were passed."""
    faults = Planned(planned)
    world = World(random.Random(len(planned)), (subject,))
    return carry_out(-1, world, faults, lambda world: _life(world, faults)), faults.passed


def carry_out(seed: int, world: World, faults: NoFaults, script: Callable[[World], None]) -> Result:
    """Run a script, stop the faults, let everything become quiet, and check."""
    faults.processes = [Process(name, world, faults) for name in "ab"]
    faults.people = Process("ada", world, faults, elected=False)
    script(world)
    found = quiesce(world, faults)
    return Result(seed, [*found, *violations(world)], world.tally, world.trace)


def _life(world: World, faults: NoFaults) -> None:
    first, second = faults.processes
    first.run_pass()
    world.advance(100)
    first.run_pass()
    world.advance(100)
    second.run_pass()
    world.advance(100)
    first.run_pass()
    finish(world, faults)
    person(faults.people, world, Fault.PERSON_UNDOES)
    faults.people.order("pause")
    world.advance(100)
    first.run_pass()
    faults.people.order("resume")


def _run(world: World, faults: Drawn) -> None:
    world.rng.choice(faults.processes).run_pass()


def _wait(world: World, faults: Drawn) -> None:
    seconds = world.rng.choice((5, 30, 70, 600, 2_000, HOUR_S, 25 * HOUR_S))
    if seconds > HOUR_S and world.ledger.unsettled():
        world.interventions.append("gpuwise did not run for a day")  # the time of a node's action is over
    world.advance(seconds)


def _lag(world: World, faults: Drawn) -> None:
    """The controllers stop, or catch up."""
    world.lag()


def _restart(world: World, faults: Drawn) -> None:
    world.rng.choice(faults.processes).end()


def _show(world: World, faults: Drawn) -> None:
    world.rng.choice(faults.processes).dry_run()


def _order(world: World, faults: Drawn) -> None:
    person(
        faults.people,
        world,
        world.rng.choice((Fault.PAUSE, Fault.PERSON_APPLIES, Fault.PERSON_UNDOES, Fault.PERSON_WAKES)),
    )


def _meddle(world: World, faults: Drawn) -> None:
    """Other people or controllers change something."""
    if faults.with_people:
        faults_of_people = [one for one in points.PEOPLE if one not in points.ORDERS]
        world.people.others(world.rng.choice(faults_of_people))


_STEPS = {_run: 45, _wait: 15, _lag: 4, _restart: 3, _show: 3, _order: 15, _meddle: 15}
"""The steps of a drawn schedule, with their shares in percent."""


def _random_script(world: World, faults: Drawn) -> None:
    rng = world.rng
    for step in rng.choices(list(_STEPS), list(_STEPS.values()), k=rng.randint(3, 8)):
        step(world, faults)
        world.advance(rng.choice((1, 5, 20)))
    for _ in range(2):  # what is open is resolved while things still fail
        world.advance(90)
        for process in faults.processes:
            process.run_pass()


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
