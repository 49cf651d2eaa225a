"""The world of one schedule: virtual time, a cluster, a ledger, a lease, people, and a log of what happened."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from tests.faults import election
from tests.faults.cluster import VirtualCluster
from tests.faults.log import Effect, Row
from tests.faults.people import People
from tests.faults.points import Tally
from tests.faults.targets import SUBJECTS, Subject, nodes

from gpuwise.memory.ledger import SqliteLedger
from gpuwise.model.command import Intent
from gpuwise.model.inventory import Inventory

START_S = 1_795_000_000
WRITE_TIMEOUT_S = int(election.SETTINGS.write_timeout_s)
HOUR_S = 3_600


@dataclass(slots=True)
class Guarded:
    """Since when something protects a target: places in the log."""

    workload: dict[str, int] = field(default_factory=dict)
    namespace: int | None = None
    budgets: dict[str, int] = field(default_factory=dict)


class World:
    """One cluster, its people and the processes of gpuwise.

    Args:
        rng: decides what people do.
        subjects: the objects that are to be changed.
    """

    def __init__(self, rng: random.Random, subjects: tuple[Subject, ...] = SUBJECTS) -> None:
        self.rng, self.subjects = rng, subjects
        self.now_s, self.skew_s = START_S, 0
        self.jumped, self.persons = False, 0
        self.interventions: list[str] = []
        self.tally, self.trace = Tally(), []
        self.effects: list[Effect] = []
        self.rows: list[Row] = []
        self.guarded, self.people = Guarded(), People(self)
        self.signals: dict[str, float | None] = {}
        self.dry_writes: list[str] = []
        self.failed_wakes: list[str] = []
        self.processes: list[Any] = []
        self.running: list[str] = []
        self.in_flight: list[tuple[int, Callable[[], None]]] = []
        self._seq = 0
        self._uids = 0
        self.cluster = _first(subjects).copy(lambda: self.now_s)
        self.lagging = False
        self.snapshot: tuple[int, Inventory | None] = (0, None)
        self.made = {one.path: self.cluster.peek(one.path) for one in subjects}
        self.ledger = _empty_ledger()
        self.leases = _first_leases().copy(lambda: self.now_s)

    def new_uid(self, name: str) -> str:
        self._uids += 1
        return f"{name}-uid-{self._uids}"

    def wall_s(self) -> int:
        """What the clocks of the nodes show, epoch seconds."""
        return self.now_s + self.skew_s

    def next_seq(self) -> int:
        self._seq += 1
        return self._seq

    def note(self, text: str) -> None:
        """Add a line to the trace that a failure prints."""
        depth = "  " * (len(self.running) - 1)
        who = self.running[-1] if self.running else "world"
        self.trace.append(f"{self.now_s - START_S:>8} s  {depth}{who}: {text}")

    def advance(self, seconds: int, *, stopped: str = "") -> None:
        """Let time pass: requests that hang arrive, and the processes take part in the election.

        Args:
            seconds: how many.
            stopped: name of a process that is stopped meanwhile.
        """
        taking_part = [one for one in self.processes if one.name != stopped]
        for one in taking_part:
            one.look_at_lease()
        end_s = self.now_s + seconds
        while self.in_flight and min(self.in_flight, key=_due)[0] <= end_s:
            first = min(self.in_flight, key=_due)
            self.in_flight.remove(first)
            self.now_s = max(self.now_s, first[0])
            first[1]()
        self.now_s = end_s
        # Its thread has renewed the lease all the time: it is the first.
        for one in sorted(taking_part, key=lambda one: one.identity != election.holder(self)):
            one.take_part()
        self.settle()

    def settle(self) -> None:
        """Let the controllers catch up, unless they lag."""
        if not self.lagging:
            self.cluster.settle()

    def lag(self) -> None:
        """The controllers stop, or catch up; a watched effect is taken back if its pods do not follow."""
        self.lagging = not self.lagging
        if any(one.watched or one.kind == "Node" for one in self.subjects):
            self.interventions.append("the controllers lag")
        self.settle()

    def jump(self, seconds: int) -> None:
        """Set the wall clock; monotonic time goes on."""
        if not self.in_flight:
            self.skew_s, self.jumped = self.skew_s + seconds, True

    def subject_at(self, path: str) -> Subject | None:
        """The target of a write; of an eviction, the node that is drained."""
        evicted = path.endswith("/eviction")
        return next((one for one in self.subjects if one.path == path or (evicted and one.owner)), None)

    def any_subject(self) -> Subject:
        """One of the targets, half of the time the one that was written last."""
        last = self.subject_at(self.effects[-1].path) if self.effects else None
        return last if last is not None and self.rng.random() < 0.5 else self.rng.choice(self.subjects)

    @property
    def term(self) -> int:
        latest = self.ledger.term()
        return 0 if latest is None else latest.epoch

    def stamped(self, intent: Intent, epoch: int | None) -> Intent:
        """The intent with the term of its process; a person's command belongs to the latest term."""
        return replace(intent, epoch=intent.epoch or (self.term if epoch is None else epoch))


def _due(request: tuple[int, Callable[[], None]]) -> int:
    return request[0]


@cache
def _first(subjects: tuple[Subject, ...]) -> VirtualCluster:
    made = [one.make(f"{one.name}-uid-0") for one in subjects]
    parts = [part for one in subjects for part in one.parts]
    return VirtualCluster([*nodes(), *made, *parts], lambda: START_S)


@cache
def _first_leases() -> VirtualCluster:
    return election.leases(lambda: START_S)


@cache
def _ledger() -> tuple[SqliteLedger, Any, bytes]:
    made = SqliteLedger(Path(":memory:"))
    with made._database.reading() as db:
        connection = db.connection.dbapi_connection
    return made, connection, connection.serialize()


def _empty_ledger() -> SqliteLedger:
    """The ledger as it was made: there is one world at a time, and a new engine takes 20 ms."""
    made, connection, empty = _ledger()
    connection.deserialize(empty)
    made.belongs_to("")
    return made
