"""Takes part in the election, says whether this process may write, and ends it before its lease expires."""

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from gpuwise.lead.clock import monotonic
from gpuwise.lead.elector import Elector, Held
from gpuwise.lead.settings import LeadSettings
from gpuwise.lead.stopping import arm, end_process
from gpuwise.model.errors import GpuwiseError, NotLeader

_HINT = "the leader writes; another process takes over when its lease has expired"
# Between the hard stop and the expiry of the lease, as a part of the time after the renew deadline: 1 s of 5 s. The
# kernel's timer ends the process at half of it.
_MARGIN = 0.2


@dataclass(frozen=True, slots=True)
class Standing:
    """Where this process stands in the election.

    Attributes:
        leads: whether it is the leader.
        epoch: term of the leader, 0 if not known.
        holder: identity of the leader, "" if there is none or it is not known.
        problem: why the last step of the election failed, None if it did not.
        terms: number of terms that this process has begun.
    """

    leads: bool
    epoch: int
    holder: str
    problem: str | None
    terms: int


class Leader:
    """The `Leadership` port on a Lease.

    One thread takes and renews the lease; a watchdog ends the process if a renewal fails for too long, because an
    effect may hang in a request that nobody can call back.

    Args:
        elector: takes and renews the lease.
        settings: durations.
        identity: of this process.
        took_over: called at the begin of each term.
        clock: monotonic seconds.
        end: ends the process.
        arm: lets the kernel end the process after some seconds; 0 disarms.
    """

    def __init__(
        self,
        elector: Elector,
        settings: LeadSettings,
        identity: str,
        *,
        took_over: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = monotonic,
        end: Callable[[str], None] = end_process,
        arm: Callable[[float], None] = arm,
    ) -> None:
        self._elector, self._settings, self.identity = elector, settings, identity
        self._took_over, self._clock, self._end, self._arm = took_over, clock, end, arm
        self._step = threading.Lock()
        self._changed = threading.Condition()
        self._held: Held | None = None
        self._warm: int | None = None
        self._stopping = False
        self._problem: str | None = None
        self._terms = 0
        self._threads = [
            threading.Thread(target=self._take_part, name="election", daemon=True),
            threading.Thread(target=self._watch, name="watchdog", daemon=True),
        ]

    def start(self) -> None:
        """Take part in the election from now on."""
        for thread in self._threads:
            thread.start()

    def step(self) -> None:
        """Take or renew the lease; the thread of the election does so at each retry period."""
        try:
            found = self._elector.step(self._held)
        except GpuwiseError as error:
            self._problem = str(error)
        except Exception as error:  # noqa: BLE001 - the watchdog ends the process if this goes on
            self._problem = f"{type(error).__name__}: {error}; this is a bug in gpuwise: please report it"
        else:
            self._problem = None
            self._accept(found)

    def close(self) -> None:
        """Stop writing, and release the lease; nothing of this process may write any more."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        with self._step:
            held, self._held = self._held, None
            if held is not None and self._left_s(held) > 0:
                with suppress(GpuwiseError):  # it then expires
                    self._elector.release(held)
        self._arm(0.0)
        with self._changed:
            self._changed.notify_all()

    def epoch(self) -> int:
        """See the port: it is asked immediately before each write.

        Raises:
            NotLeader: another process is the leader, the renew deadline has passed, or the cluster has not been listed
                in this term yet.
        """
        held = self._held
        if held is None:
            raise NotLeader(f"this process is not the leader{self._of()}: nothing was written", hint=_HINT)
        late_s = self._clock() - held.renewed_s - self._settings.renew_deadline_s
        if late_s >= 0:
            problem = f"the lease could not be renewed until its deadline, {late_s:.1f} s ago: nothing was written"
            raise NotLeader(problem, hint=_HINT)
        if self._warm != held.epoch:
            problem = f"term {held.epoch} has begun, and the cluster has not been listed in it yet"
            raise NotLeader(f"{problem}: nothing was written", hint="the next pass lists it")
        return held.epoch

    def term(self) -> int | None:
        """The term of this process, also before the cluster was listed in it; None if it is not the leader."""
        held = self._held
        deadline_s = self._settings.renew_deadline_s
        return held.epoch if held is not None and self._clock() - held.renewed_s < deadline_s else None

    def warmed(self, epoch: int) -> None:
        """Note that every list of the inventory succeeded in a term: effects may begin."""
        self._warm = epoch

    def advance(self, epoch: int) -> int | None:
        """Raise the term of this process: the ledger knows later ones, because the Lease was deleted since.

        Args:
            epoch: the least number of the term.

        Returns:
            The term of this process, None if it is no longer the leader.

        Raises:
            ClusterError: the Lease could not be written.
        """
        with self._step:
            if self._held is None:
                return None
            self._elector.least_epoch = epoch
            self._accept(self._elector.step(Held(max(epoch, self._held.epoch), self._held.renewed_s)))
        return self.term()

    def standing(self) -> Standing:
        """Where this process stands, for metrics and messages."""
        term, seen = self.term(), self._elector.seen
        epoch = term or (seen.transitions if seen is not None else 0)
        return Standing(term is not None, epoch, seen.holder if seen is not None else "", self._problem, self._terms)

    def wait(self, timeout_s: float) -> bool:
        """Wait until this process is the leader; return whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: self.term() is not None or self._stopping, timeout_s) and not (
                self._stopping
            )

    def _of(self) -> str:
        seen = self._elector.seen
        return f", {seen.holder} is" if seen is not None and seen.holder not in ("", self.identity) else ""

    def _take_part(self) -> None:
        while not self._stopping:
            with self._step:
                if not self._stopping:
                    self.step()
            with self._changed:
                self._changed.wait_for(lambda: self._stopping, self._settings.retry_period_s)

    def _accept(self, found: Held | None) -> None:
        before = self._held
        if found is None and before is not None:
            self._end(f"another process has taken the lease{self._of()}: ended before anything else is written")
        if found is not None:
            self._arm(max(0.001, self._left_s(found) + self._margin_s / 2))
        with self._changed:
            self._held = found
            self._changed.notify_all()
        if found is not None and before is None:
            self._terms += 1
            self._took_over()

    @property
    def _margin_s(self) -> float:
        return (self._settings.lease_duration_s - self._settings.renew_deadline_s) * _MARGIN

    def _left_s(self, held: Held) -> float:
        """Seconds until the hard stop."""
        return held.renewed_s + self._settings.lease_duration_s - self._margin_s - self._clock()

    def _watch(self) -> None:
        with self._changed:
            while not self._stopping:
                held = self._held
                left_s = self._left_s(held) if held is not None else None
                if left_s is not None and left_s <= 0:
                    why = f": {self._problem}" if self._problem else ""
                    self._end(f"the lease could not be renewed and expires now, so this process ends{why}")
                    return
                self._changed.wait(left_s)
