"""A process of gpuwise: the product's own loop, enactor and orders of people, with failpoints around its ports."""

from collections import Counter
from dataclasses import replace
from typing import cast

from tests.faults import election
from tests.faults.failing import FaultyClient, FaultyLedger, Labelled, world_does
from tests.faults.log import Reads, mark_of
from tests.faults.points import Crash, Fault, Point
from tests.faults.signals import LEVEL, MEMORY_QUERY, VirtualLevels
from tests.faults.targets import LAYOUTS, NAMESPACE, Subject
from tests.faults.world import HOUR_S, World

from gpuwise.decide.settings import Approvals, DecideSettings, ScopeBudget
from gpuwise.emulate.resources import PODS
from gpuwise.enact import EnactSettings, Examiner, KubernetesEnactor
from gpuwise.enact.wake import wake
from gpuwise.lead.first_lists import FirstLists
from gpuwise.manual import ManualActions, record
from gpuwise.model.changes import ScaleTo
from gpuwise.model.command import FLEET, Budget, Directive, Limit, Mode, OutcomeStatus
from gpuwise.model.errors import GpuwiseError, InputError, LedgerError, NotLeader
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
SETTINGS = EnactSettings(
    default_mode=Mode.ENFORCE,
    settle_timeout_s=0.0,
    limits=(Limit(FLEET, LIMIT, HOUR_S),),
    nodes=True,
    node_action_s=4 * HOUR_S,
    node_memory_query=MEMORY_QUERY,
    mig_configs=LAYOUTS,
)
WATCH_S = 120
WATCHING = replace(SETTINGS, watch_s=WATCH_S, levels=(LEVEL,), canary_share=0.5, canary_s=WATCH_S)
"""The settings of a world with a target that is watched."""


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
        self.operation = "start"
        self.steps: Counter[tuple[str, str, str]] = Counter()
        self.decided, self.starts, self.identity, self.ended = 0, 0, "", False
        self.checked: dict[str, int] = {}
        self.measured: dict[str, float | None] = {}
        self.settings = WATCHING if any(one.watched for one in world.subjects) else SETTINGS
        self.start()
        world.processes.append(self)

    def start(self) -> None:
        """Build everything from the ledger and the cluster, as a new process does."""
        self.starts += 1
        self.ended = False
        self.identity = f"{self.name}-{self.starts}"
        self.leader = election.leader(self)
        self.ledger = cast("Ledger", FaultyLedger(self))
        self.client = cast("ClusterWriter", FaultyClient(self))
        self.levels = VirtualLevels(self)
        self.enactor = Labelled(self, self._enactor(self.settings))
        snapshots, wall_s = Snapshots(self), self.world.wall_s
        self.pipeline = Pipeline(
            inventory=FirstLists(snapshots, self.leader, self.ledger, "virtual", wall_s) if self.elected else snapshots,
            usage=cast("any", None),
            prices=PriceBook({}, "none"),
            executor=cast("any", None),
            profiles=dict,
            ledger=self.ledger,
            settings=LoopSettings("virtual", 24, 60, 100, policy=POLICY, nodes=True),
            enactor=self.enactor,
            checker=Examiner(self.client, self.settings, wall_s),
            clock=wall_s,
        )

    def _enactor(self, settings: EnactSettings) -> KubernetesEnactor:
        return KubernetesEnactor(self.client, self.ledger, settings, self.world.wall_s, self.levels)

    @property
    def epoch(self) -> int | None:
        """The term of this process, None if it does not lead."""
        return self.leader.term() if self.elected else None

    @property
    def wrote_as(self) -> int | None:
        """The term in which this process believes that it writes, also after its deadline; None for a person."""
        if not self.elected:
            return None
        return self.leader._held.epoch if self.leader._held is not None else 0

    @property
    def reads(self) -> Reads:
        """What this process has read by now."""
        return Reads(self.decided, dict(self.checked), dict(self.measured))

    def take_part(self) -> None:
        """One step of the election, as its thread does."""
        if not self.elected:
            return
        try:
            self.leader.step()
        except Crash:
            self.world.note(f"{self.name} crashed")
            running = self.world.running
            if running[-1:] == [self.name]:
                raise
            if self.name not in running:
                self.end()
            else:
                self.ended = True  # what it was doing when another process began to run goes no further

    def look_at_lease(self) -> None:
        """What the election's thread has seen before time passes."""
        if self.elected and self.epoch is None:
            self.take_part()

    def run_pass(self) -> None:
        """One pass of the loop, as the leader."""
        self._attempt("pass", self._pass)

    def dry_run(self) -> list[str] | None:
        """A pass that only shows what it would do (I19); the ids of the actions, None if it failed."""
        return self._attempt("dry run", self._dry_run)

    def _dry_run(self) -> list[str]:
        world = self.world
        before = self._written()
        dry = self._enactor(replace(self.settings, dry_run=True))
        pipeline = replace(self.pipeline, enactor=Labelled(self, dry), inventory=Snapshots(self))
        outcomes = pipeline.enact(pipeline.decide(self._survey(pipeline), world.wall_s()).commands)
        if before != self._written():
            world.dry_writes.append(self.name)
        return [one.command_id for one in outcomes if one.status is OutcomeStatus.WOULD_APPLY]

    def _written(self) -> int:
        """How much this process has written, to the cluster and to the ledger."""
        return sum(one.process == self.name for one in (*self.world.effects, *self.world.rows))

    def wake(self, subject: Subject) -> None:
        """A person wakes an object from its annotation alone (I17)."""
        self._step("wake")
        stored, stops = self.world.cluster.peek(subject.path), isinstance(subject.change, ScaleTo)
        stopped = stops and mark_of(stored) != "" and subject.done(stored)

        def woken():
            try:
                found = wake(self.client, NAMESPACE, subject.kind, subject.name)
            except InputError as error:
                if stopped:
                    self.world.failed_wakes.append(f"{subject.name}: {error}")
                return error.problem
            return found.detail

        self._attempt(f"wake {subject.name}", woken)

    def undo(self, command_id: str) -> None:
        """A person undoes an action."""
        self._attempt(f"undo {command_id}", lambda: self._manual().undo(command_id).status)

    def apply(self, recommendation_id: str) -> None:
        """A person applies a recommendation."""
        self._attempt(f"apply {recommendation_id}", lambda: self._manual().apply(recommendation_id))

    def follows(self, order: Fault) -> None:
        """A person pauses, applies a recommendation, undoes an action or wakes an object, whichever there is."""
        world = self.world
        world.persons += 1
        if order is Fault.PAUSE:
            self.order(world.rng.choice(("pause", "resume")))
        elif order is Fault.PERSON_APPLIES:
            _one(world.rng, sorted(one.id for one in world.ledger.recommendations()), self.apply)
        elif order is Fault.PERSON_WAKES:
            _one(world.rng, [one for one in world.subjects if one.kind != "Node"], self.wake)
        else:
            _one(world.rng, self._applied(), self.undo)

    def _applied(self) -> list[str]:
        ledger = self.world.ledger
        known = [(one.command.id, ledger.outcome(one.command.id)) for one in ledger.intents() if not one.step_of]
        return [name for name, last in known if last is not None and last.status is OutcomeStatus.APPLIED]

    def order(self, kind: str) -> None:
        """A person pauses or resumes gpuwise."""
        self._step(kind)
        order = Directive(kind, "*", self.name, self.world.wall_s(), "incident")
        self._attempt(kind, lambda: record(self.ledger, order))

    def _manual(self) -> ManualActions:
        return ManualActions(self.name, self.ledger, self.enactor, POLICY, self.world.wall_s, nodes=True)

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
        self.start()

    def _pass(self):
        self._step("take over")
        self.take_part()
        if self.epoch is None:
            return "waits: another process is the leader"
        survey = self._survey(self.pipeline)
        decision = self.pipeline.decide(survey, self.world.wall_s())
        outcomes = self.pipeline.enact(decision.commands)
        self._step("record")
        self.pipeline.record(survey, decision, self.world.wall_s())
        return [*outcomes, *(f"{one.recommendation_id} {one.reason.value}" for one in decision.blocked)]

    def _survey(self, pipeline: Pipeline) -> Survey:
        now_s, cluster = self.world.wall_s(), self.world.cluster
        fleet = pipeline.observe(now_s)
        items = []
        for rank, subject in enumerate(self.world.subjects):
            uid, stored = subject.uid(fleet), cluster.peek(subject.path)
            if uid is not None and stored is not None and not subject.done(stored):
                items.append(subject.recommendation(uid, cluster.store.all(PODS), now_s, 100.0 - rank))
        self._step("decide")
        return Survey(Window(now_s - HOUR_S, now_s, 60), fleet, cast("any", {}), tuple(items), ())

    def _step(self, operation: str) -> None:
        self.operation = operation
        self.steps.clear()

    def leads(self) -> None:
        """What the product does immediately before each write: ask the leadership (gpuwise.leading)."""
        if self.elected:
            self.leader.epoch()

    def pass_point(self, side: str, subject: str, write: str, possible) -> Fault | None:
        """Pass a failpoint; return the fault that the caller has to carry out."""
        world = self.world
        if self.ended:
            raise Crash
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
        if self.ended:
            raise Crash
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


def _one(rng, found, act) -> None:
    """Do something with one of these, nothing if there is none."""
    if found:
        act(rng.choice(found))
