"""A process of gpuwise: the product's own loop, enactor and orders of people, with failpoints around its ports."""

from collections import Counter
from dataclasses import replace
from typing import cast

from tests.faults.failing import FaultyClient, FaultyLedger, Labelled, world_does
from tests.faults.points import Crash, Fault, Point
from tests.faults.world import HOUR_S, World

from gpuwise.decide.settings import Approvals, DecideSettings, ScopeBudget
from gpuwise.enact import EnactSettings, Examiner, KubernetesEnactor
from gpuwise.manual import ManualActions, record
from gpuwise.model.command import FLEET, Budget, Directive, Limit, Mode, OutcomeStatus, Term
from gpuwise.model.errors import GpuwiseError, LedgerError, NotLeader
from gpuwise.model.inventory import Inventory
from gpuwise.model.ports import ClusterWriter, Ledger
from gpuwise.model.price import PriceBook
from gpuwise.model.recommendation import Blocked
from gpuwise.model.usage import Window
from gpuwise.pipeline import LoopSettings, Pipeline, Survey
from gpuwise.sources.kubernetes.inventory import KubernetesInventory

LIMIT = 2
POLICY = DecideSettings(
    mode=Mode.ENFORCE,
    budget=Budget(LIMIT, HOUR_S),
    budgets={"namespace/*": ScopeBudget(LIMIT, 2 * HOUR_S)},
    approvals=Approvals(),
    brake_floor=20,
    max_risk=4,
)
SETTINGS = EnactSettings(default_mode=Mode.ENFORCE, settle_timeout_s=0.0, limits=(Limit(FLEET, LIMIT, HOUR_S),))


class Process:
    """One process; its memory is lost when it ends.

    Args:
        name: "a", "b" or a person's name.
        world: where it runs.
        faults: decides what happens at each failpoint: called with process, point and the faults that are possible.
        elected: whether it takes part in the election; a person's command does not.
    """

    def __init__(self, name: str, world: World, faults, *, elected: bool = True) -> None:
        self.name, self.world, self.faults, self.elected = name, world, faults, elected
        self.epoch: int | None = None
        self.operation = "start"
        self.steps: Counter[tuple[str, str, str]] = Counter()
        self.decided, self.starts, self.identity = 0, 0, ""
        self.checked: dict[str, int] = {}
        self.start()

    def start(self) -> None:
        """Build everything from the ledger and the cluster, as a new process does."""
        self.epoch = None
        self.starts += 1
        self.identity = f"{self.name}-{self.starts}"
        self.world.ledger.verify(whole=True)
        self.ledger = cast("Ledger", FaultyLedger(self))
        self.client = cast("ClusterWriter", FaultyClient(self))
        self.enactor = Labelled(self, KubernetesEnactor(self.client, self.ledger, SETTINGS, self.world.wall_s))
        self.pipeline = Pipeline(
            inventory=Snapshots(self),
            usage=cast("any", None),
            prices=PriceBook({}, "none"),
            executor=cast("any", None),
            profiles=dict,
            ledger=self.ledger,
            settings=LoopSettings("virtual", 24, 60, 100, policy=POLICY),
            enactor=self.enactor,
            checker=Examiner(self.client, SETTINGS, self.world.wall_s),
            clock=self.world.wall_s,
        )

    def run_pass(self) -> None:
        """One pass of the loop, as the leader."""
        self._attempt("pass", self._pass)

    def dry_run(self) -> list[str] | None:
        """A pass that only shows what it would do (I19); the ids of the actions, None if it failed."""
        return self._attempt("dry run", self._dry_run)

    def _dry_run(self) -> list[str]:
        world = self.world
        before = self._written()
        dry = KubernetesEnactor(self.client, self.ledger, replace(SETTINGS, dry_run=True), world.wall_s)
        pipeline = replace(self.pipeline, enactor=Labelled(self, dry))
        outcomes = pipeline.enact(pipeline.decide(self._survey(), world.wall_s()).commands)
        if before != self._written():
            world.dry_writes.append(self.name)
        return [one.command_id for one in outcomes if one.status is OutcomeStatus.WOULD_APPLY]

    def _written(self) -> int:
        """How much this process has written, to the cluster and to the ledger."""
        return sum(one.process == self.name for one in (*self.world.effects, *self.world.rows))

    def undo(self, command_id: str) -> None:
        """A person undoes an action."""
        self._attempt(f"undo {command_id}", lambda: self._manual().undo(command_id).status)

    def apply(self, recommendation_id: str) -> None:
        """A person applies a recommendation."""
        self._attempt(f"apply {recommendation_id}", lambda: self._manual().apply(recommendation_id))

    def order(self, kind: str) -> None:
        """A person pauses or resumes gpuwise."""
        self._step(kind)
        order = Directive(kind, "*", self.name, self.world.wall_s(), "incident")
        self._attempt(kind, lambda: record(self.ledger, order))

    def _manual(self) -> ManualActions:
        return ManualActions(self.name, self.ledger, self.enactor, POLICY, self.world.wall_s)

    def _attempt(self, what: str, action):
        world = self.world
        world.running.append(self.name)
        try:
            found = action()
        except Crash:
            world.note(f"{what}: crashed")
            self.end()
        except NotLeader as error:
            world.note(f"{what}: ended, {error.problem}")
            self.end()
        except LedgerError as error:
            world.note(f"{what}: ended, {error.problem}")
            self.end()
        except GpuwiseError as error:
            world.note(f"{what}: failed, {error.problem}")
        else:
            world.note(f"{what}: {_shown(found)}")
            return found
        finally:
            world.running.pop()
            self.operation = "start"
        return None

    def end(self) -> None:
        """The process ends; Kubernetes starts it again with nothing in memory, and with another identity."""
        self.world.dead.add(self.identity)
        self.start()

    def _pass(self):
        if not self._campaign():
            return "waits: another process is the leader"
        survey = self._survey()
        decision = self.pipeline.decide(survey, self.world.wall_s())
        outcomes = self.pipeline.enact(decision.commands)
        self._step("record")
        self.pipeline.record(survey, decision, self.world.wall_s())
        return [*outcomes, *(f"{one.recommendation_id} {one.reason.value}" for one in decision.blocked)]

    def _campaign(self) -> bool:
        """Take or renew the lease; a new term is recorded in the ledger before anything else."""
        lease, world = self.world.lease, self.world
        if lease.holder != self.identity:
            if not lease.is_free(world.now_s):
                return False
            lease.holder, lease.epoch = self.identity, max(lease.epoch, world.term) + 1
            self.epoch = lease.epoch
            lease.renewed_s = world.now_s
            self._step("take over")
            self.ledger.begin_term(Term(self.epoch, self.identity, world.wall_s()))
        lease.renewed_s = world.now_s
        return True

    def _survey(self) -> Survey:
        self._step("observe")
        now_s = self.world.wall_s()
        fleet = self.pipeline.observe(now_s)
        found = {(one.ref.kind, one.ref.name): one.ref.uid for one in fleet.workloads}
        items = []
        for rank, subject in enumerate(self.world.subjects):
            uid = found.get((subject.kind, subject.name))
            stored = self.world.cluster.peek(subject.path)
            if uid is not None and stored is not None and not subject.done(stored):
                items.append(subject.recommendation(uid, now_s, 100.0 - rank))
        self._step("decide")
        return Survey(Window(now_s - HOUR_S, now_s, 60), fleet, cast("any", {}), tuple(items), ())

    def _step(self, operation: str) -> None:
        self.operation = operation
        self.steps.clear()

    def leads(self) -> None:
        """What the product does immediately before each write: ask the leadership (gpuwise.leading)."""
        if self.elected:
            self.world.lease.epoch_of(self.identity, self.world.now_s)

    def pass_point(self, side: str, subject: str, write: str, possible) -> Fault | None:
        """Pass a failpoint; return the fault that the caller has to carry out."""
        world = self.world
        key = self.operation, subject, write
        if side == "before":
            self.steps[key] += 1
        point = Point(*key, min(self.steps[key], 3), side)
        if side in ("before", "after") and write != "read":
            world.tally.passed[point] += 1
        fault = self.faults(self, point, possible)
        if fault is None:
            return None
        world.note(f"-- {fault.value}: {point}")
        if fault is Fault.CRASH:
            world.tally.crashed[point] += 1
            raise Crash
        world_does(self, fault)
        return fault


class Snapshots:
    """The product's inventory. Objects that did not change give the same inventory, so it is built once for them."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def snapshot(self, now_s: int) -> Inventory:
        world = self._process.world
        version, found = world.snapshot
        if version != world.cluster.store.version:
            found = KubernetesInventory(self._process.client).snapshot(now_s)
            world.snapshot = world.cluster.store.version, found
        return replace(found, taken_s=now_s)


def _shown(found) -> str:
    if isinstance(found, list):
        return ", ".join(_shown(one) for one in found) or "nothing to do"
    if isinstance(found, Blocked):
        return f"blocked, {found.reason.value}"
    if hasattr(found, "status"):
        return f"{found.command_id} {found.status.value}{f' {found.reason.value}' if found.reason else ''}"
    return str(found)
