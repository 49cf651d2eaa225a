"""A process of gpuwise: the product's own loop, enactor and orders of people, with failpoints around its ports."""

from collections import Counter
from dataclasses import replace
from typing import cast

from gpuwise.decide.settings import Approvals, DecideSettings, ScopeBudget
from gpuwise.enact import EnactSettings, Examiner, KubernetesEnactor
from gpuwise.manual import ManualActions, record
from gpuwise.model.command import FLEET, Budget, Directive, Limit, Mode, Term
from gpuwise.model.errors import ClusterError, GpuwiseError, LedgerError, NoAnswer, NotLeader
from gpuwise.model.inventory import Inventory
from gpuwise.model.ports import ClusterReader, ClusterWriter, Ledger
from gpuwise.model.price import PriceBook
from gpuwise.model.recommendation import Blocked
from gpuwise.model.usage import Window
from gpuwise.pipeline import LoopSettings, Pipeline, Survey
from gpuwise.sources.kubernetes.inventory import KubernetesInventory

from gpuwise.cluster.answers import error_for
from tests.faults.cluster import InProcessClient
from tests.faults.points import ANSWERS, LOST, Crash, Fault, Point
from tests.faults.world import HOUR_S, WRITE_TIMEOUT_S, Effect, Row, World, role_of

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
_WRITES = frozenset(name for name in vars(ClusterWriter) if not name.startswith("_")) - set(vars(ClusterReader))
_READS = frozenset(name for name in vars(ClusterReader) if not name.startswith("_"))
_LEDGER_WRITES = frozenset(name for name in vars(Ledger) if name.startswith(("record_", "begin_")))


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

    def dry_run(self) -> list[str]:
        """The plan as a dry run shows it: ids of recommendations that would be carried out. Nothing is recorded."""
        survey = self._survey()
        decision = self.pipeline.decide(survey, self.world.wall_s())
        settings = EnactSettings(
            dry_run=True, default_mode=SETTINGS.default_mode, settle_timeout_s=0.0, limits=SETTINGS.limits
        )
        outcomes = KubernetesEnactor(self.client, self.ledger, settings, self.world.wall_s).enact(decision.commands)
        shown = {one.command_id for one in outcomes if one.status.value == "would-apply"}
        return sorted(one.recommendation_id for one in decision.commands if one.id in shown)

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

    def _attempt(self, what: str, action) -> None:
        world = self.world
        world.running.append(self.name)
        try:
            found = action()
            world.note(f"{what}: {_shown(found)}")
        except Crash:
            world.note(f"{what}: crashed")
            self._end()
        except NotLeader as error:
            world.note(f"{what}: ended, {error.problem}")
            self._end()
        except LedgerError as error:
            world.note(f"{what}: ended, {error.problem}")
            self._end()
        except GpuwiseError as error:
            world.note(f"{what}: failed, {error.problem}")
        finally:
            world.running.pop()
            self.operation = "start"

    def _end(self) -> None:
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


def world_does(process: Process, fault: Fault) -> None:
    """Carry out a fault that does not depend on the call: time, clocks, people, another process."""
    world = process.world
    match fault:
        case Fault.STALL:
            world.advance(world.rng.choice((12, 20, 90)), stopped=process.identity)
            others = [one for one in process.faults.processes if one.name not in world.running]
            if others and len(world.running) == 1:
                others[0].run_pass()
        case Fault.SLOW:
            world.advance(WRITE_TIMEOUT_S - 1)
        case Fault.CLOCK_FORWARD:
            world.jump(HOUR_S)
        case Fault.CLOCK_BACK:
            world.jump(-HOUR_S)
        case Fault.EDIT | Fault.PROTECT | Fault.RECREATE | Fault.DELETE | Fault.REVERT:
            getattr(world, fault.name.lower())(world.any_subject())
        case Fault.PROTECT_NAMESPACE:
            world.protect_namespace(world.any_subject())
        case Fault.DISRUPTION_BUDGET:
            world.add_budget(world.any_subject())
        case Fault.PAUSE | Fault.PERSON_APPLIES | Fault.PERSON_UNDOES:
            if len(world.running) == 1 and process.elected:
                process.faults.person(world, fault)
        case _:
            pass


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


class FaultyClient:
    """The `ClusterWriter` of a process, with failpoints around each request, and the log of effects."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._client = InProcessClient(process.world.cluster)

    def __getattr__(self, name: str):
        if name in _WRITES:
            return lambda path, *args, **options: self._write(name, path, args, options)
        return lambda *args, **options: self._read(name, args, options)

    def _read(self, name, args, options):
        process, world = self._process, self._process.world
        fault = process.faults.read(process)
        if fault is not None:
            world.note(f"-- {fault.value}: before {name} {args[0]}")
            world_does(process, fault)
            _raise_for(fault, f"GET {args[0]}")
        found = getattr(self._client, name)(*args, **options)
        process.checked[str(args[0])] = world.next_seq()
        return found

    def _write(self, name, path, args, options):
        process, world = self._process, self._process.world
        subject = world.subject_at(path)
        label = subject.label if subject is not None else "-"
        write = f"{name} {world.cluster.target('PATCH', path).resource.plural}" if name == "patch" else name
        fault = process.pass_point("before", label, write, "api before")
        _raise_for(fault, f"{name.upper()} {path}")
        process.leads()
        before = world.cluster.peek(path) if name == "patch" else None
        found = getattr(self._client, name)(path, *args, **options)
        if not options.get("dry_run"):
            self._log(path, args[0] if args else None, before)
        world.settle()
        _raise_for(process.pass_point("after", label, write, "api after"), f"{name.upper()} {path}")
        return found

    def _log(self, path, body, before) -> None:
        process, world = self._process, self._process.world
        after = world.cluster.peek(path)
        role, command_id = role_of(before, after)
        world.note(f"writes {path.rsplit('/', 1)[-1]}: {role} {command_id}")
        world.effects.append(
            Effect(
                world.next_seq(), world.now_s, process.name, process.epoch if process.elected else None, world.term,
                process.operation, role, command_id, path, body, before, after, process.decided, dict(process.checked),
            )  # fmt: skip
        )


class FaultyLedger:
    """The `Ledger` of a process, with failpoints around each write."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def __getattr__(self, name: str):
        method = getattr(self._process.world.ledger, name)
        if name in _LEDGER_WRITES:
            return lambda *args, **options: self._write(name, method, args, options)
        if name == "directives":
            self._process.decided = self._process.world.next_seq()
        return method

    def _write(self, name, method, args, options):
        process, world = self._process, self._process.world
        label = self._label(name, args[0])
        if process.pass_point("before", label, name, "ledger before") is Fault.LEDGER_LOCKED:
            raise LedgerError("the ledger is locked", hint="another process may have locked it; try again")
        if name == "record_intent":
            args = (world.stamped(args[0], process.epoch if process.elected else None), *args[1:])
        found = method(*args, **options)
        if name != "record_intent" or found is None:
            world.rows.append(Row(world.next_seq(), world.now_s, process.name, name, args[0]))
        process.pass_point("after", label, name, "ledger after")
        return found

    def _label(self, name, value) -> str:
        intent = value if name == "record_intent" else None
        if name == "record_outcome":
            intent = self._process.world.ledger.intent(value.command_id)
        return f"{intent.command.change.kind} {intent.command.workload.kind}" if intent is not None else "-"


class Labelled:
    """An enactor whose calls name the operation of the failpoints in them."""

    def __init__(self, process: Process, enactor) -> None:
        self._process, self._enactor = process, enactor

    def __getattr__(self, name: str):
        method = getattr(self._enactor, name)

        def called(*args):
            before = self._process.operation
            self._process._step(name)
            try:
                return method(*args)
            finally:
                self._process.operation = before

        return called


def _raise_for(fault: Fault | None, asked: str) -> None:
    if fault in ANSWERS:
        details = {"message": "injected", "kind": "Status"}
        if fault is Fault.FORBIDDEN:
            details["message"] = 'User "gpuwise" cannot patch resource "x"'
        raise error_for(asked, ANSWERS[fault], details)
    if fault in LOST:
        raise NoAnswer(f"no response to {asked}: {fault.value}", hint="try again later")


def _shown(found) -> str:
    if isinstance(found, list):
        return ", ".join(_shown(one) for one in found) or "nothing to do"
    if isinstance(found, Blocked):
        return f"blocked, {found.reason.value}"
    if hasattr(found, "status"):
        return f"{found.command_id} {found.status.value}{f' {found.reason.value}' if found.reason else ''}"
    return str(found)


__all__ = ["LIMIT", "POLICY", "ClusterError", "Process"]
