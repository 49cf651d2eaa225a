"""The world of one schedule: virtual time, a cluster, a ledger, a lease, people, and a log of what happened."""

import random
from collections.abc import Container
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from tests.faults.cluster import VirtualCluster
from tests.faults.points import Fault, Tally
from tests.faults.targets import NAMESPACE, SUBJECTS, Subject, nodes

from gpuwise.emulate.objects import budget
from gpuwise.emulate.resources import NAMESPACES
from gpuwise.memory.ledger import SqliteLedger
from gpuwise.model.command import Intent
from gpuwise.model.errors import NotLeader
from gpuwise.model.inventory import Inventory
from gpuwise.model.labels import ACTION_ID, DO_NOT_DISRUPT

START_S = 1_795_000_000
LEASE_S, RENEW_DEADLINE_S, WRITE_TIMEOUT_S = 15, 10, 5
"""The product's defaults (gpuwise.lead.settings)."""
HOUR_S = 3_600


@dataclass(frozen=True, slots=True)
class Effect:
    """A write that the API server has stored.

    Attributes:
        seq: place in the log of the world.
        at_s: true time, epoch seconds.
        process: who wrote it.
        epoch: term of the process, None for a person's command.
        latest: the latest term that had begun by then.
        operation: what the process was doing.
        role: "apply", "restore" (undo or revert) or "other".
        command_id: the action, "" if the object names none.
        path: of the object.
        body: the request.
        before: the object before, None if it did not exist.
        after: the object after.
        decided: place in the log at which the process last read people's orders.
        checked: places in the log at which the process last read what protects the target, by path.
    """

    seq: int
    at_s: int
    process: str
    epoch: int | None
    latest: int
    operation: str
    role: str
    command_id: str
    path: str
    body: object
    before: dict | None
    after: dict | None
    decided: int
    checked: dict[str, int]


@dataclass(frozen=True, slots=True)
class Row:
    """A ledger write that was committed."""

    seq: int
    at_s: int
    process: str
    kind: str
    value: object


@dataclass(slots=True)
class Lease:
    """The lease, renewed by a thread of its holder as long as that process runs."""

    holder: str = ""
    epoch: int = 0
    renewed_s: int = 0

    def epoch_of(self, holder: str, now_s: int) -> int:
        """The `Leadership` port."""
        if self.holder != holder or now_s - self.renewed_s >= RENEW_DEADLINE_S:
            raise NotLeader(f"{holder} is not the leader", hint="the leader writes")
        return self.epoch

    def is_free(self, now_s: int) -> bool:
        """Whether another process may take it."""
        return not self.holder or now_s - self.renewed_s >= LEASE_S


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
        self.guarded, self.lease = Guarded(), Lease()
        self.dry_writes: list[str] = []
        self.dead: set[str] = set()
        self.running: list[str] = []
        self._seq = 0
        self._uids = 0
        self.cluster = _first(subjects).copy(lambda: self.now_s)
        self.lagging = False
        self.snapshot: tuple[int, Inventory | None] = (0, None)
        self.made = {one.path: self.cluster.peek(one.path) for one in subjects}
        self.ledger = SqliteLedger(Path(":memory:"))

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
        """Let time pass. The lease is renewed, unless its holder is stopped."""
        self.now_s += seconds
        if self.lease.holder != stopped and self.lease.holder not in self.dead:
            self.lease.renewed_s = self.now_s
        self.settle()

    def settle(self) -> None:
        """Let the controllers catch up, unless they lag."""
        if not self.lagging:
            self.cluster.settle()

    def jump(self, seconds: int) -> None:
        """Set the wall clock; monotonic time goes on."""
        self.skew_s, self.jumped = self.skew_s + seconds, True

    def subject_at(self, path: str) -> Subject | None:
        return next((one for one in self.subjects if one.path == path), None)

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

    # What other people and controllers do.

    def others(self, fault: Fault) -> None:
        """Carry out what other people or controllers do; nothing for another fault."""
        acts = {
            Fault.EDIT: self.edit,
            Fault.PROTECT: self.protect,
            Fault.PROTECT_NAMESPACE: self.protect_namespace,
            Fault.DISRUPTION_BUDGET: self.add_budget,
            Fault.RECREATE: self.recreate,
            Fault.DELETE: self.delete,
            Fault.REVERT: self.revert,
        }
        if fault in acts:
            acts[fault](self.any_subject())

    def edit(self, subject: Subject) -> None:
        """A person changes the object: its replicas, or a label."""

        def changed(item):
            if subject.kind in ("Deployment", "StatefulSet"):
                return item | {"spec": item["spec"] | {"replicas": item["spec"]["replicas"] + 1}}
            return _annotated(item, {"example.com/edited": str(self.next_seq())})

        self._update(subject, changed, "edits")

    def protect(self, subject: Subject) -> None:
        """A person protects the object."""
        if self._update(subject, lambda item: _annotated(item, {DO_NOT_DISRUPT: "true"}), "protects"):
            self.guarded.workload.setdefault(subject.path, self.next_seq())

    def protect_namespace(self, _subject: Subject) -> None:
        """A person protects the namespace."""
        marked = {DO_NOT_DISRUPT: "true"}
        self.cluster.store.update(NAMESPACES, "", NAMESPACE, lambda item: _annotated(item, marked), manager="kubectl")
        self._intervened("somebody protects the namespace")
        self.guarded.namespace = self.guarded.namespace or self.next_seq()

    def add_budget(self, subject: Subject) -> None:
        """A person adds a PodDisruptionBudget that allows no disruption; its controller sets the status later."""
        name = f"keep-{subject.name}"
        path = f"/apis/policy/v1/namespaces/{NAMESPACE}/poddisruptionbudgets/{name}"
        if subject.kind not in ("Deployment", "StatefulSet") or self.cluster.peek(path) is not None:
            return
        self.cluster.store.load([budget(name, app=subject.name, namespace=NAMESPACE, minAvailable="100%")])
        self.cluster.settle()
        self._intervened(f"somebody adds a PodDisruptionBudget for {subject.name}")
        stored = self.cluster.peek(path)
        if stored["status"].get("expectedPods"):
            self.guarded.budgets[subject.path] = self.next_seq()

    def recreate(self, subject: Subject) -> None:
        """Somebody deletes the object and creates another one of the same name."""
        self.delete(subject)
        self.cluster.store.load([subject.make(self.new_uid(subject.name))])
        self._intervened(f"somebody creates {subject.name} again")
        self.settle()

    def delete(self, subject: Subject) -> None:
        """Somebody deletes the object."""
        if self.cluster.peek(subject.path) is not None:
            self.cluster.delete(subject.path)
            self.cluster.settle()
        self.guarded.workload.pop(subject.path, None)
        self.guarded.budgets.pop(subject.path, None)
        self._intervened(f"somebody deletes {subject.name}")

    def revert(self, subject: Subject) -> None:
        """A controller writes the fields that it knows, and leaves annotations that it does not know."""
        made = self.made[subject.path]

        def changed(item):
            annotations = dict(item["metadata"].get("annotations") or {})
            annotations.pop("kubeflow-resource-stopped", None)
            return item | {"spec": made["spec"], "metadata": item["metadata"] | {"annotations": annotations}}

        self._update(subject, changed, "reverts")

    def _update(self, subject: Subject, change, what: str) -> bool:
        target = self.cluster.target("GET", subject.path)
        resource = self.cluster.api.kept(target)
        if self.cluster.store.peek(resource, target.namespace, target.name) is None:
            return False
        self.cluster.store.update(resource, target.namespace, target.name, change, manager="kubectl")
        self._intervened(f"somebody {what} {subject.name}")
        self.settle()
        return True

    def _intervened(self, text: str) -> None:
        self.interventions.append(text)
        self.note(text)


@cache
def _first(subjects: tuple[Subject, ...]) -> VirtualCluster:
    made = [one.make(f"{one.name}-uid-0") for one in subjects]
    return VirtualCluster([*nodes(), *made], lambda: START_S)


def _annotated(item, annotations):
    metadata = item["metadata"]
    return item | {"metadata": metadata | {"annotations": (metadata.get("annotations") or {}) | annotations}}


def role_of(before, after, written: Container[str]) -> tuple[str, str]:
    """What a write did, judged by gpuwise's mark: role and action id.

    Args:
        before: the object before.
        after: the object after.
        written: the actions that have been written before; an undo puts back the mark of an earlier one.
    """
    old, new = mark_of(before), mark_of(after)
    if new and new != old and not (old and new in written):
        return "apply", new
    if old and new != old:
        return "restore", old
    return "other", new


def mark_of(item) -> str:
    """The action id on an object, "" for none."""
    return "" if item is None else (item["metadata"].get("annotations") or {}).get(ACTION_ID, "")
