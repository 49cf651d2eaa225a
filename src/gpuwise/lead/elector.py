"""One step of the election: take the Lease, or renew it. The decision is made in monotonic time alone."""

from collections.abc import Callable
from dataclasses import dataclass

from gpuwise.lead.lease import LEDGER, Lease, Record
from gpuwise.lead.settings import LeadSettings
from gpuwise.model.errors import Conflict, LedgerError


@dataclass(frozen=True, slots=True)
class Held:
    """A lease that this process has.

    Attributes:
        epoch: number of the term.
        renewed_s: when the request of the last renewal was sent, monotonic seconds: others saw it later.
    """

    epoch: int
    renewed_s: float


class Elector:
    """Takes and renews one Lease.

    A lease of another process has expired when this process has seen no change of its resourceVersion for the lease's
    duration. The times in the object are by other clocks, so they are not used.

    Args:
        lease: the object.
        settings: durations.
        identity: of this process.
        ledger: identity of its ledger.
        clock: monotonic seconds.
    """

    def __init__(
        self, lease: Lease, settings: LeadSettings, identity: str, ledger: str, clock: Callable[[], float]
    ) -> None:
        self._lease, self._settings, self._clock = lease, settings, clock
        self._identity, self._ledger = identity, ledger
        self._seen: Record | None = None
        self._since_s = clock()
        self.least_epoch = 0
        """The next write sets at least this epoch: the ledger may have later terms than a Lease that was recreated."""

    @property
    def seen(self) -> Record | None:
        """The Lease as it was last read or written."""
        return self._seen

    def step(self, held: Held | None) -> Held | None:
        """Renew the lease, or take it if it has expired or was released.

        Args:
            held: the lease that this process has, None for none.

        Returns:
            The lease that this process now has; None if another process has it.

        Raises:
            ClusterError: the API server did not answer, or refused; a lease that this process has stays as it is.
            LedgerError: the latest leader had another ledger, so this process does not know what it did.
        """
        began_s = self._clock()
        if held is None:
            self._observe(self._lease.read())
            if not self._free():
                return None
            self._compare_ledgers()
        try:
            return self._write(began_s, held)
        except Conflict:  # another process was faster, or somebody edited the object
            self._observe(self._lease.read())
            ours = self._seen is not None and held is not None and self._is_ours(self._seen, held)
            return self._write(began_s, held) if ours else None

    def release(self, held: Held) -> None:
        """Give the lease up, so that another process need not wait until it expires.

        Raises:
            ClusterError: the API server did not answer, or refused.
        """
        if self._seen is not None:
            self._lease.write(self._seen, "", held.epoch, 1.0, "")

    def _write(self, began_s: float, held: Held | None) -> Held:
        before = self._seen.transitions if self._seen is not None else 0
        epoch = max(held.epoch if held is not None else before + 1, self.least_epoch)
        written = self._lease.write(self._seen, self._identity, epoch, self._settings.lease_duration_s, self._ledger)
        self._observe(written)
        return Held(epoch, began_s)

    def _is_ours(self, seen: Record, held: Held) -> bool:
        return seen.holder == self._identity and seen.transitions == held.epoch

    def _compare_ledgers(self) -> None:
        """Budgets, cool-downs and open intents are in the ledger: with another one they would start from nothing."""
        before = self._seen.ledger if self._seen is not None else ""
        if before not in ("", self._ledger):
            problem = (
                f"the latest leader of {self._lease.place} had ledger {before}, and this process has {self._ledger}"
            )
            hint = f"give it that ledger; if it is lost: kubectl annotate lease NAME -n NAMESPACE {LEDGER}-"
            raise LedgerError(problem, hint=hint)

    def _observe(self, record: Record | None) -> None:
        before = self._seen
        if before is None or record is None or (before.uid, before.version) != (record.uid, record.version):
            self._since_s = self._clock()
        self._seen = record

    def _free(self) -> bool:
        """Whether nobody has the lease: it does not exist, was released, or was not renewed while this process looked.

        A holder with this process's identity is an earlier process of the same pod: it may still be running.
        """
        seen = self._seen
        if seen is None or not seen.holder:
            return True
        duration_s = max(seen.duration_s, self._settings.lease_duration_s)
        return self._clock() - self._since_s > duration_s
