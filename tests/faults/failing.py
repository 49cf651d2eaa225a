"""The ports of a process with failpoints around each write, also around writes that the ports add later."""

from tests.faults.cluster import InProcessClient
from tests.faults.points import ANSWERS, LOST, Fault
from tests.faults.world import HOUR_S, WRITE_TIMEOUT_S, Effect, Row, role_of

from gpuwise.cluster.answers import error_for
from gpuwise.model.errors import LedgerError, NoAnswer
from gpuwise.model.ports import ClusterReader, ClusterWriter, Ledger

_WRITES = frozenset(name for name in vars(ClusterWriter) if not name.startswith("_")) - set(vars(ClusterReader))
_LEDGER_WRITES = frozenset(name for name in vars(Ledger) if name.startswith(("record_", "begin_")))
_JUMPS_S = {Fault.CLOCK_FORWARD: HOUR_S, Fault.CLOCK_BACK: -HOUR_S}
_BY_PERSONS = frozenset({Fault.PAUSE, Fault.PERSON_APPLIES, Fault.PERSON_UNDOES})


def world_does(process, fault: Fault) -> None:
    """Carry out a fault that does not depend on the call: time, clocks, people, another process."""
    world = process.world
    if fault is Fault.STALL:
        world.advance(world.rng.choice((12, 20, 90)), stopped=process.identity)
        others = [one for one in process.faults.processes if one.name not in world.running]
        if others and len(world.running) == 1:
            others[0].run_pass()
    elif fault is Fault.SLOW:
        world.advance(WRITE_TIMEOUT_S - 1)
    elif fault in _JUMPS_S:
        world.jump(_JUMPS_S[fault])
    elif fault not in _BY_PERSONS:
        world.others(fault)
    elif len(world.running) == 1 and process.elected:
        process.faults.person(world, fault)


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
        role, command_id = role_of(before, after, {one.command_id for one in world.effects})
        world.note(f"writes {path.rsplit('/', 1)[-1]}: {role} {command_id}")
        world.effects.append(
            Effect(
                world.next_seq(),
                world.now_s,
                process.name,
                process.epoch if process.elected else None,
                world.term,
                process.operation,
                role,
                command_id,
                path,
                body,
                before,
                after,
                process.decided,
                dict(process.checked),
            )
        )


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
