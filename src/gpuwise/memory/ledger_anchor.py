"""The ledger's head, stored in the cluster, so that deleted rows or an old copy of the file are detected (I25).

One ConfigMap contains the head of each ledger that acts on the cluster, under the ledger's identity. It is created
before the first effect and updated before each effect and after each run, so no effect can be removed from the file
without being noticed.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from gpuwise.memory.ledger import SqlLedger
from gpuwise.memory.ledger_database import Database, sqlite
from gpuwise.model.command import Intent, LedgerHead, Limit
from gpuwise.model.errors import Conflict, Forbidden, Gone, LedgerError
from gpuwise.model.inventory import SeenNode
from gpuwise.model.ports import ClusterWriter, Object
from gpuwise.model.recommendation import Blocked, Recommendation
from gpuwise.model.rights import HEAD_CONFIG_MAP as NAME

_MERGE_PATCH = "application/merge-patch+json"
# Another process with the same ledger also updates the head; each try reads it again.
_TRIES = 5
_SEQ = re.compile("[0-9]{1,18}")  # what fits into SQLite's integers


class ConfigMapAnchor:
    """Stores ledger heads in a ConfigMap.

    Args:
        cluster: a client that may get, create and patch ConfigMaps in the namespace.
        namespace: namespace of the ConfigMap.
    """

    def __init__(self, cluster: ClusterWriter, namespace: str) -> None:
        self._cluster = cluster
        self._collection = f"/api/v1/namespaces/{namespace}/configmaps"
        self._namespace = namespace
        self._found: Object | None = None
        self.problem: str | None = None
        """Why the head cannot be stored; None if it can."""

    @property
    def namespace(self) -> str:
        """Namespace of the ConfigMap."""
        return self._namespace

    @property
    def place(self) -> str:
        """Name and namespace of the ConfigMap, for messages."""
        return f"ConfigMap {NAME} in namespace {self._namespace}"

    def compare(self, ledger: SqlLedger) -> None:
        """Compare a ledger with its head in the cluster.

        Raises:
            LedgerError: rows are missing or differ.
            ClusterError: the ConfigMap cannot be read.
        """
        self._read()
        known = self._known(ledger.head().ledger)
        if known is not None:
            agree(ledger, known, self.place)

    def knows(self, ledger: SqlLedger) -> bool:
        """Return whether the cluster has a head of a ledger that was compared."""
        return self._known(ledger.head().ledger) is not None

    def state(self, ledger: SqlLedger) -> str:
        """Describe what the cluster has stored for a ledger that was compared."""
        if self.problem is not None:
            return f"the ledger's newest row is not stored in the cluster: {self.problem}"
        identity = ledger.head().ledger
        known = self._known(identity)
        if known is not None:
            return f"{self.place} agrees up to row {known.seq}"
        others = sorted(((self._found or {}).get("data") or {}).keys() - {identity})
        text = f"{self.place} has no entry for ledger {identity} yet"
        return (
            f"{text}, only for {', '.join(others)}: if this file replaces a lost one, restore that" if others else text
        )

    def ensure(self, ledger: SqlLedger) -> None:
        """Compare, unless that was already done."""
        if self._found is None and self.problem is None:
            self.compare(ledger)

    def move(self, ledger: SqlLedger) -> None:
        """Store a ledger's current head.

        Raises:
            LedgerError: as `compare`.
            ClusterError: the ConfigMap cannot be read or written.
        """
        for _ in range(_TRIES):
            self.ensure(ledger)
            if self.problem is not None:
                return
            known = self._known(ledger.head().ledger)
            if known is not None:
                agree(ledger, known, self.place)  # the file may have been changed since it was compared
            try:
                self._write(ledger.head())
            except Conflict:  # another process was faster: read again
                self._found = None
            except (Forbidden, Gone) as error:
                self.problem = error.problem
            else:
                return

    def _read(self) -> None:
        try:
            self._found, self.problem = self._cluster.get(f"{self._collection}/{NAME}"), None
        except Gone:
            self._found, self.problem = {}, None
        except Forbidden as error:
            self._found, self.problem = None, error.problem

    def _known(self, identity: str) -> LedgerHead | None:
        stored = ((self._found or {}).get("data") or {}).get(identity)
        return None if stored is None else _head(identity, str(stored))

    def _write(self, head: LedgerHead) -> None:
        data = {head.ledger: f"{head.seq}:{head.digest}"}
        if not self._found:
            config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME}, "data": data}
            self._found = self._cluster.create(self._collection, config_map)
            return
        known = self._known(head.ledger)
        if known is not None and known.seq == head.seq:
            return
        body = {"metadata": {"resourceVersion": self._found["metadata"]["resourceVersion"]}, "data": data}
        self._found = self._cluster.patch(f"{self._collection}/{NAME}", body, content_type=_MERGE_PATCH)


class AnchoredLedger(SqlLedger):
    """A ledger whose head is stored in the cluster.

    Args:
        database: of the ledger, or the path of its file.
        anchor: stores the head.
        moves: whether the stored head is updated; a plan only compares it.
    """

    def __init__(self, database: Database | Path, anchor: ConfigMapAnchor, *, moves: bool = True) -> None:
        super().__init__(sqlite(database) if isinstance(database, Path) else database)
        self.anchor, self._moves = anchor, moves

    def check(self) -> None:
        """See the port."""
        super().check()
        self.anchor.ensure(self)

    def record_run(
        self,
        now_s: int,
        recommendations: Iterable[Recommendation],
        blocked: Iterable[Blocked],
        alternatives: Iterable[Recommendation] = (),
        nodes: Iterable[SeenNode] = (),
        prices: str = "",
    ) -> None:
        """See the port."""
        super().record_run(now_s, recommendations, blocked, alternatives, nodes, prices)
        # The first effect creates the ConfigMap: before it there is no effect that could be removed.
        if self._moves and self.anchor.knows(self):
            self.anchor.move(self)

    def record_intent(self, intent: Intent, *, limits: Sequence[Limit]) -> Limit | None:
        """See the port. The head is updated before the effect, so that no effect can be removed unnoticed."""
        self.check()
        used_up = super().record_intent(intent, limits=limits)
        if used_up is None:
            self.anchor.move(self)
        return used_up


def agree(ledger: SqlLedger, known: LedgerHead, place: str) -> None:
    """Compare a ledger with a stored head of it.

    Args:
        ledger: the file.
        known: the stored head; its digest may be shortened.
        place: where it was stored, for messages.

    Raises:
        LedgerError: rows are missing or differ.
    """
    hint = f"restore the newest copy of {ledger.place}; if it is lost, note that and remove {known.ledger} from {place}"
    digest, head = ledger.digest_at(known.seq), ledger.head()
    if known.ledger != head.ledger:
        problem = f"{place} is for ledger {known.ledger}, but {ledger.place} is ledger {head.ledger}"
        raise LedgerError(problem, hint="compare with a report that was generated from this ledger")
    if digest is None:
        problem = f"ledger {ledger.place} ends at row {head.seq}, but {place} has row {known.seq}"
        raise LedgerError(f"{problem}: rows were deleted, or an older copy was restored", hint=hint)
    if not digest.startswith(known.digest):
        raise LedgerError(f"row {known.seq} of ledger {ledger.place} differs from the one stored in {place}", hint=hint)


def parse_head(text: str) -> LedgerHead:
    """Parse a ledger head as reports print it.

    Raises:
        LedgerError: the text is not a ledger head.
    """
    identity, _, rest = text.partition(":")
    return _head(identity, rest)


def _head(identity: str, text: str) -> LedgerHead:
    seq, _, digest = text.partition(":")
    if _SEQ.fullmatch(seq) is None or not digest:
        raise LedgerError(
            f"{text!r} is not a ledger head",
            hint=f"remove {identity} from the ConfigMap {NAME}, or copy the whole head from the report",
        )
    return LedgerHead(identity, int(seq), digest)
