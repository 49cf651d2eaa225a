"""Planned schedules: the lives of single targets, with a fault at each failpoint that they pass."""

import random
from collections.abc import Callable, Mapping
from functools import lru_cache

from tests.faults import points
from tests.faults.choosing import Planned, fits
from tests.faults.playing import Result, carry_out, finish
from tests.faults.points import Fault, Point
from tests.faults.targets import LAYOUTS, SUBJECTS, Subject
from tests.faults.world import World

Life = Callable[[World, Planned], None]
Plan = tuple[Subject, Life, Mapping[int, Fault]]
_FIRST = (Fault.CRASH, Fault.CONFLICT, Fault.TIMEOUT)
_CLOSELY = frozenset({"web", "ada", "api", "drained", "sliced"})
"""Targets with further crashes two and three failpoints later; the others take the same paths as one of these."""


def undone(world: World, faults: Planned) -> None:
    """The target is changed, a person undoes that, and it is left alone."""
    first, second = faults.processes
    for process in (first, first, second, first):
        process.run_pass()
        world.advance(100)
    finish(world, faults)
    faults.people.follows(Fault.PERSON_UNDOES)
    faults.people.order("pause")
    world.advance(100)
    first.run_pass()
    faults.people.order("resume")


def woken(world: World, faults: Planned) -> None:
    """A person wakes the target from its annotation."""
    first, _ = faults.processes
    first.run_pass()
    world.advance(100)
    first.run_pass()
    faults.people.follows(Fault.PERSON_WAKES)
    world.advance(100)
    first.run_pass()


def failed(world: World, faults: Planned) -> None:
    """The check after the write fails: a signal, a PodDisruptionBudget that refuses, or a layout that is not made."""
    first, _ = faults.processes
    (subject,) = world.subjects
    first.run_pass()
    world.people.add_budget(subject)
    if subject.kind == "Node":
        world.cluster.failing_layouts = frozenset(LAYOUTS.values())
        world.interventions.append("the MIG manager makes no layout")  # it is taken back, and left to people
    else:
        world.people.breach(subject)
    for _ in range(2):
        world.advance(30)
        first.run_pass()
    finish(world, faults)
    world.cluster.failing_layouts = frozenset()


def taken_over(world: World, faults: Planned) -> None:
    """The leader dies before it knows the outcome of its write; the next one takes over while that may be in flight."""
    first, second = faults.processes
    for _ in range(2):
        first.run_pass()
        world.advance(20)
        second.run_pass()
        world.advance(20)
    finish(world, faults)


@lru_cache(maxsize=1)
def plans() -> tuple[Plan, ...]:
    """The first seeds: a fault at each failpoint in the lives of each target, alone and with a crash soon after.

    Later faults hit what the product does only because of the first: recovery, the second attempt of a write, and what
    follows when a controller has reverted it, at once or found by the recovery.
    """
    found: list[Plan] = []
    for subject in SUBJECTS:
        seen: set[Point] = set()
        for number, possible in _new(subject, undone, {}, seen):
            found += [(subject, undone, faults) for faults in _around(subject, number, possible)]
        for life, before in _other_lives(subject):
            new = _new(subject, life, before, seen)
            found += [(subject, life, {**before, number: Fault.CRASH}) for number, _ in new]
    found += [(SUBJECTS[0], undone, {-number: fault}) for number in range(1, 5) for fault in points.BEFORE_LEASE]
    return tuple(found)


def _around(subject: Subject, number: int, possible: str) -> list[Mapping[int, Fault]]:
    """Faults at one failpoint, alone and with a crash at one of the next."""
    found: list[Mapping[int, Fault]] = []
    for fault in (one for one in _FIRST if fits(one, possible)):
        later = range(1, 4 if subject.name in _CLOSELY else 2)
        found += [{number: fault}, *({number: fault, number + more: Fault.CRASH} for more in later)]
    if fits(Fault.REVERT, possible):
        reverted, crashed = {number: Fault.REVERT}, {number: Fault.REVERT, number + 1: Fault.CRASH}
        found += [reverted | {number + later: Fault.CRASH} for later in range(1, 7)]
        found += [crashed | {number + 1 + later: Fault.CRASH} for later in range(1, 9)]
    return found


def _other_lives(subject: Subject) -> list[tuple[Life, Mapping[int, Fault]]]:
    passed = lived(subject, {})[1]
    writes = [number for number, (possible, _) in enumerate(passed, start=1) if possible == "api before"]
    lives: list[tuple[Life, Mapping[int, Fault]]] = [(taken_over, {number: Fault.CRASH}) for number in writes]
    lives += [(undone, {number: fault}) for number in writes for fault in (Fault.TIMEOUT, Fault.CONFLICT)]
    if subject.kind == "Node" or subject.watched:
        lives.append((failed, {}))
    return lives if subject.kind == "Node" else [(woken, {}), *lives]


def _new(subject: Subject, life: Life, before: Mapping[int, Fault], seen: set[Point]) -> list[tuple[int, str]]:
    """The failpoints of a life that no earlier one passes, each at the first time."""
    found = []
    for number, (possible, point) in enumerate(lived(subject, before, life)[1], start=1):
        if point not in seen:
            seen.add(point)
            found.append((number, possible))
    return found


def lived(
    subject: Subject, planned: Mapping[int, Fault], life: Life = undone
) -> tuple[Result, list[tuple[str, Point]]]:
    """The life of one target; also the failpoints that were passed."""
    faults = Planned(planned)
    world = World(random.Random(sum(planned)), (subject,))
    return carry_out(-1, world, faults, lambda world: life(world, faults)), faults.passed
