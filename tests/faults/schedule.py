"""One schedule: a seed decides the targets, what happens in which order, and what fails."""

import random
from dataclasses import replace

from tests.faults import points
from tests.faults.choosing import Drawn
from tests.faults.lives import lived, plans
from tests.faults.playing import Result, carry_out
from tests.faults.targets import SUBJECTS, Subject
from tests.faults.world import HOUR_S, World

_WATCHED_SHARE = 0.3


def run(seed: int) -> Result:
    """Run the schedule of a seed: the first seeds are planned, the others draw what happens."""
    if seed < len(plans()):
        subject, life, faults = plans()[seed]
        return replace(lived(subject, faults, life)[0], seed=seed)
    return drawn(seed)


def drawn(seed: int, among: tuple[Subject, ...] = SUBJECTS) -> Result:
    """Run a schedule of random faults on three targets; all are watched, or none."""
    rng = random.Random(seed)
    watched = rng.random() < _WATCHED_SHARE
    possible = [one for one in among if one.watched == watched or one.kind == "Node"] or among
    subjects = tuple(rng.sample(possible, min(3, len(possible))))
    faults = Drawn(rng, rng.choice((0.02, 0.08, 0.2)), people=rng.random() < 0.6)
    return carry_out(seed, World(rng, subjects), faults, lambda world: _random_script(world, faults))


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
    faults.people.follows(world.rng.choice(sorted(points.ORDERS)))


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
