"""The ports of a process with failpoints around each write, also around writes that the ports add later."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from tests.faults.cluster import InProcessClient
from tests.faults.log import Effect, Reads, Row, role_of
from tests.faults.points import ANSWERS, HUNG, LOST, ORDERS, Crash, Fault
from tests.faults.world import HOUR_S, WRITE_TIMEOUT_S

from gpuwise.cluster.answers import error_for
from gpuwise.enact.images import pointer
from gpuwise.enact.node_steps import LAYOUT
from gpuwise.model.errors import ClusterError, LedgerError, NoAnswer
from gpuwise.model.labels import CANARY
from gpuwise.model.ports import ClusterReader, ClusterWriter, Ledger

_WRITES = frozenset(name for name in vars(ClusterWriter) if not name.startswith("_")) - set(vars(ClusterReader))
_LEDGER_WRITES = frozenset(name for name in vars(Ledger) if name.startswith(("record_", "begin_")))
_JUMPS_S = {Fault.CLOCK_FORWARD: HOUR_S, Fault.CLOCK_BACK: -HOUR_S}
_BY_PERSONS = ORDERS
_STOPPED_S = (12, 20, 90)
_CANARY = pointer("metadata", "annotations", CANARY)


def world_does(process, fault: Fault) -> None:
    """Carry out a fault that does not depend on the call: time, clocks, people, another process."""
    world = process.world
    if fault is Fault.STALL:
        world.advance(world.rng.choice(_STOPPED_S), stopped=process.name)
        others = [one for one in process.faults.processes if one.name not in world.running]
        if others and len(world.running) == 1:
            others[0].run_pass()
    elif fault is Fault.SLOW:
        world.advance(WRITE_TIMEOUT_S - 1)
    elif fault in _JUMPS_S:
        world.jump(_JUMPS_S[fault])
    elif fault not in _BY_PERSONS:
        world.people.others(fault)
    elif len(world.running) == 1 and process.elected:
        process.faults.person(fault)


@dataclass(frozen=True, slots=True)
class Request:
    """A write as it was sent.

    Attributes:
        name: method of the client.
        path: of the object.
        args: further arguments: the body.
        options: by keyword.
        epoch: term of the process, None for a person's command.
        operation: what the process is doing.
        reads: what the process has read.
    """

    name: str
    path: str
    args: tuple[Any, ...]
    options: dict[str, Any]
    epoch: int | None
    operation: str
    reads: Reads


class FaultyClient:
    """The `ClusterWriter` of a process, with failpoints around each request, and the log of effects."""

    def __init__(self, process) -> None:
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
        write = "evict" if name == "create" else f"{name} {world.cluster.target('PATCH', path).resource.plural}"
        fault = process.pass_point("before", label, write, "api before")
        _raise_for(fault, f"{name.upper()} {path}")
        process.leads()
        request = Request(name, path, args, options, process.wrote_as, process.operation, process.reads)
        if fault in HUNG:
            self._hangs(request, fault)
        found = self._sent(request)
        _raise_for(process.pass_point("after", label, write, "api after"), f"{name.upper()} {path}")
        return found

    def _hangs(self, request: Request, fault: Fault) -> None:
        """The client gives up; the server processes the request later, at most a minute after it was sent."""
        process, world = self._process, self._process.world
        if not world.jumped:  # gpuwise measures that minute by the wall clock
            world.in_flight.append((world.now_s + world.rng.randint(1, 59), partial(self._arrives, request)))
        if fault is Fault.HANG_CRASH:
            raise Crash
        if fault is Fault.HANG_STOPPED:
            world_does(process, Fault.STALL)
        raise NoAnswer(f"no response to {request.path}: it hangs", hint="try again later")

    def _arrives(self, request: Request) -> None:
        world = self._process.world
        try:
            self._sent(request, late=True)
        except ClusterError as error:
            world.note(f"a write of {self._process.name} that hung is refused: {error.problem}")

    def _sent(self, request: Request, *, late: bool = False):
        """Let the server process a write, and log its effect."""
        process, world = self._process, self._process.world
        place = request.path.removesuffix("/eviction")
        before = world.cluster.peek(place)
        found = getattr(self._client, request.name)(request.path, *request.args, **request.options)
        after = world.cluster.peek(place)
        role, command_id = role_of(
            before, after, {one.command_id for one in world.effects}, self._step(request, before)
        )
        world.note(f"writes {place.rsplit('/', 1)[-1]}: {role} {command_id}{', late' if late else ''}")
        body = request.args[0] if request.args else None
        effect = Effect(
            world.next_seq(), world.now_s, process.name, request.epoch, world.term, request.operation, role,
            command_id, request.path, body, before, after, request.reads, late,
        )  # fmt: skip
        world.effects.append(effect)
        world.settle()
        return found

    def _step(self, request: Request, before) -> str:
        """The newest step of an action that this write may be, "" for none."""
        world, name = self._process.world, before["metadata"]["name"] if before is not None else ""
        steps = [one for one in world.ledger.intents() if one.step_of]
        if request.name == "create":
            mine = [one for one in steps if one.pre_image.get("pod", "").endswith(f"/{name}")]
        else:
            later = (one for one in steps if LAYOUT in one.post_image or _CANARY in one.pre_image)
            mine = [one for one in later if one.command.workload.name == name]
        return mine[-1].command.id if mine else ""


class FaultyLedger:
    """The `Ledger` of a process, with failpoints around each write."""

    def __init__(self, process) -> None:
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
            args = (world.stamped(args[0], process.leader.epoch() if process.elected else None), *args[1:])
        found = method(*args, **options)
        if name != "record_intent" or found is None:
            world.rows.append(Row(world.next_seq(), world.now_s, process.name, name, args[0], dict(process.measured)))
        process.pass_point("after", label, name, "ledger after")
        return found

    def _label(self, name, value) -> str:
        intent = value if name == "record_intent" else None
        if name == "record_outcome":
            intent = self._process.world.ledger.intent(value.command_id)
        if intent is None:
            return "-"
        kind, name = intent.command.workload.kind, intent.command.workload.name
        subjects = self._process.world.subjects
        return next(one.label for one in subjects if (one.kind, one.name) == (kind, name))


class Labelled:
    """An enactor whose calls name the operation of the failpoints in them."""

    def __init__(self, process, enactor) -> None:
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
