"""Failpoints: every external write has one before and one after it, named by what it does and not by where it is.

The names come from the ports, so a write that the product adds later is enumerated without a change here.
"""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum


class Crash(BaseException):
    """The process dies here: everything in its memory is lost. The product must not catch it."""


class Fault(StrEnum):
    """What may happen at a failpoint."""

    CRASH = "crash"
    STALL = "stall"
    """The process is stopped for longer than its lease (SIGSTOP, a paused virtual machine); another one takes over."""
    LEDGER_LOCKED = "ledger locked"
    CONFLICT = "409"
    FORBIDDEN = "403"
    THROTTLED = "429"
    SERVER_ERROR = "500"
    TIMEOUT = "timeout"
    RESET = "reset"
    """The connection is reset: the client does not know whether the server has processed the request."""
    SLOW = "slow"
    """The request takes as long as its timeout allows."""
    HANG = "hang"
    """The request hangs: the client gives up, and the server processes it up to a minute later."""
    HANG_STOPPED = "hang, stopped"
    """The same, and the process is stopped for longer than its lease: another one takes over meanwhile."""
    HANG_CRASH = "hang, crash"
    """The same, and the process dies: another one takes over before or after the server has processed it."""
    BREACH = "breach"
    """The signal of a target leaves its bounds; for a node, a process uses its GPUs."""
    SILENCE = "silence"
    """The signal of a target is silent."""
    CLOCK_FORWARD = "clock +1 h"
    CLOCK_BACK = "clock -1 h"
    EDIT = "edit"
    PROTECT = "protect"
    PROTECT_NAMESPACE = "protect the namespace"
    DISRUPTION_BUDGET = "disruption budget"
    RECREATE = "recreate"
    DELETE = "delete"
    REVERT = "revert"
    """A controller restores what it knows immediately after the write."""
    PAUSE = "pause"
    PERSON_APPLIES = "apply"
    PERSON_UNDOES = "undo"
    PERSON_WAKES = "wake"


ANSWERS = {Fault.CONFLICT: 409, Fault.FORBIDDEN: 403, Fault.THROTTLED: 429, Fault.SERVER_ERROR: 500}
"""HTTP status of the faults that are responses of the API server; it has then not processed the request."""

LOST = frozenset({Fault.TIMEOUT, Fault.RESET})
HUNG = (Fault.HANG, Fault.HANG_STOPPED, Fault.HANG_CRASH)
PEOPLE = (
    Fault.EDIT, Fault.PROTECT, Fault.PROTECT_NAMESPACE, Fault.DISRUPTION_BUDGET, Fault.RECREATE, Fault.DELETE,
    Fault.REVERT, Fault.BREACH, Fault.SILENCE, Fault.PAUSE, Fault.PERSON_APPLIES, Fault.PERSON_UNDOES,
    Fault.PERSON_WAKES,
)  # fmt: skip
"""What other people and controllers do; the result then differs from that of a run without faults."""

ORDERS = frozenset({Fault.PAUSE, Fault.PERSON_APPLIES, Fault.PERSON_UNDOES, Fault.PERSON_WAKES})
"""What people order gpuwise to do."""

_CLOCKS = (Fault.CLOCK_FORWARD, Fault.CLOCK_BACK)
_OTHERS = tuple(one for one in PEOPLE if one is not Fault.REVERT)
BEFORE_API = (Fault.CRASH, Fault.STALL, *ANSWERS, Fault.TIMEOUT, Fault.RESET, Fault.SLOW, *HUNG, *_CLOCKS, *_OTHERS)
AFTER_API = (Fault.CRASH, Fault.STALL, Fault.TIMEOUT, Fault.RESET, Fault.SERVER_ERROR, *_CLOCKS, *PEOPLE)
BEFORE_LEDGER = (Fault.CRASH, Fault.STALL, Fault.LEDGER_LOCKED, *_CLOCKS, *_OTHERS)
AFTER_LEDGER = (Fault.CRASH, Fault.STALL, *_CLOCKS, *_OTHERS)
BEFORE_LEASE = (Fault.CRASH, *ANSWERS, Fault.TIMEOUT)
AFTER_LEASE = (Fault.CRASH, Fault.TIMEOUT)
READS = (Fault.STALL, *ANSWERS, Fault.TIMEOUT, Fault.RESET, *_OTHERS)


@dataclass(frozen=True, slots=True, order=True)
class Point:
    """A failpoint.

    Attributes:
        operation: the method of the enactor, or the step of the pass: "enact", "undo", "recover", "record", "elect".
        subject: change and kind of the target, "ScaleTo Deployment"; "-" if there is no target.
        write: "patch deployments", "record_intent".
        step: which write of that name within the operation on that target; 1 is the first, 3 the third or later.
        side: "before" or "after".
    """

    operation: str
    subject: str
    write: str
    step: int
    side: str

    def __str__(self) -> str:
        return f"{self.side} {self.write} #{self.step} in {self.operation} ({self.subject})"


@dataclass(slots=True)
class Tally:
    """The failpoints that runs have passed, and those at which a crash was injected."""

    passed: Counter[Point] = field(default_factory=Counter)
    crashed: Counter[Point] = field(default_factory=Counter)

    def add(self, other: "Tally") -> None:
        """Add the points of another run."""
        self.passed.update(other.passed)
        self.crashed.update(other.crashed)

    @property
    def missed(self) -> list[Point]:
        """Points at which no crash was injected."""
        return sorted(self.passed.keys() - self.crashed.keys())
