"""What fails at the failpoints that a schedule passes: nothing, what a seed draws, or what is planned."""

import random
from collections.abc import Mapping

from tests.faults import points
from tests.faults.points import Fault, Point
from tests.faults.process import Process

_POSSIBLE = {
    "api before": points.BEFORE_API,
    "api after": points.AFTER_API,
    "ledger before": points.BEFORE_LEDGER,
    "ledger after": points.AFTER_LEDGER,
    "read": points.READS,
    "lease before": points.BEFORE_LEASE,
    "lease after": points.AFTER_LEASE,
}
_RARE_SHARE = 0.25
_PEOPLE = frozenset(points.PEOPLE)


def fits(fault: Fault, possible: str) -> bool:
    """Whether a fault can happen at a failpoint of this sort."""
    return fault in _POSSIBLE[possible]


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

    def person(self, order: Fault) -> None:
        """A person acts while a process is in the middle of something."""
        self.people.follows(order)


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
