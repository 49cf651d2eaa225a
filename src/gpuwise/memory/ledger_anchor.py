"""The ledger's head, remembered in the cluster: deleted rows, or yesterday's copy of the file, are seen (I25).

One ConfigMap holds the head of each ledger that acts on the cluster, under the ledger's identity. It is made before the
first effect and moved before each effect and after each run, so what can be taken from the file unseen is no effect.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from gpuwise.memory.ledger import SqliteLedger
from gpuwise.model.command import Intent, LedgerHead
from gpuwise.model.errors import Conflict, Forbidden, Gone, LedgerError
from gpuwise.model.ports import ClusterWriter, Object
from gpuwise.model.recommendation import Blocked, Recommendation
from gpuwise.model.rights import HEAD_CONFIG_MAP as NAME

_MERGE_PATCH = "application/merge-patch+json"
# Another process with the same ledger moves the head, too; each try reads where it is.
_TRIES = 5
_SEQ = re.compile("[0-9]{1,18}")  # what fits into SQLite's integers


class ConfigMapAnchor:
    """Remembers heads in a ConfigMap.

    Args:
        cluster: with the right to get, create and patch ConfigMaps in the namespace.
        namespace: where.
    """

    def __init__(self, cluster: ClusterWriter, namespace: str) -> None:
        self._cluster = cluster
        self._collection = f"/api/v1/namespaces/{namespace}/configmaps"
        self._namespace = namespace
        self._found: Object | None = None
        self.problem: str | None = None
        """Why no head is remembered, None while one is."""

    @property
    def namespace(self) -> str:
        """Where the ConfigMap is."""
        return self._namespace

    @property
    def place(self) -> str:
        """Where it is, for a person."""
        return f"ConfigMap {NAME} in namespace {self._namespace}"

    def compare(self, ledger: SqliteLedger) -> None:
        """Compare a ledger with the head that the cluster remembers of it.

        Raises:
            LedgerError: rows are missing, or are others.
            ClusterError: the cluster cannot be asked.
        """
        self._read()
        known = self._known(ledger.head().ledger)
        if known is not None:
            agree(ledger, known, self.place)

    def knows(self, ledger: SqliteLedger) -> bool:
        """Whether the cluster remembers a head of a ledger that was compared."""
        return self._known(ledger.head().ledger) is not None

    def state(self, ledger: SqliteLedger) -> str:
        """What the cluster remembers of a ledger that was compared, for a person."""
        if self.problem is not None:
            return f"the cluster does not remember its newest row: {self.problem}"
        identity = ledger.head().ledger
        known = self._known(identity)
        if known is not None:
            return f"{self.place} agrees up to row {known.seq}"
        others = sorted(((self._found or {}).get("data") or {}).keys() - {identity})
        said = f"nothing of ledger {identity} is in {self.place} yet"
        return (
            f"{said}, which knows {', '.join(others)}: if this file replaces a lost one, put that back"
            if others
            else said
        )

    def ensure(self, ledger: SqliteLedger) -> None:
        """Compare, unless that was done."""
        if self._found is None and self.problem is None:
            self.compare(ledger)

    def move(self, ledger: SqliteLedger) -> None:
        """Remember a ledger's head as it is now.

        Raises:
            LedgerError: as `compare`.
            ClusterError: the cluster cannot be asked.
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
            except Conflict:  # somebody was quicker: look again
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
        said = ((self._found or {}).get("data") or {}).get(identity)
        return None if said is None else _head(identity, str(said))

    def _write(self, head: LedgerHead) -> None:
        data = {head.ledger: f"{head.seq}:{head.digest}"}
        if not self._found:
            made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME}, "data": data}
            self._found = self._cluster.create(self._collection, made)
            return
        known = self._known(head.ledger)
        if known is not None and known.seq == head.seq:
            return
        body = {"metadata": {"resourceVersion": self._found["metadata"]["resourceVersion"]}, "data": data}
        self._found = self._cluster.patch(f"{self._collection}/{NAME}", body, content_type=_MERGE_PATCH)


class AnchoredLedger(SqliteLedger):
    """A ledger whose head the cluster remembers.

    Args:
        path: of the file.
        anchor: what remembers.
        moves: whether the head is moved; who only plans compares it.
    """

    def __init__(self, path: Path, anchor: ConfigMapAnchor, *, moves: bool = True) -> None:
        super().__init__(path)
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
    ) -> None:
        """See the port."""
        super().record_run(now_s, recommendations, blocked, alternatives)
        # The first effect makes the ConfigMap: before it there is nothing that could be forgotten.
        if self._moves and self.anchor.knows(self):
            self.anchor.move(self)

    def record_intent(self, intent: Intent, *, limit: int, per_s: int) -> bool:
        """See the port; the head is moved before the effect, so none can be forgotten unseen."""
        self.check()
        if not super().record_intent(intent, limit=limit, per_s=per_s):
            return False
        self.anchor.move(self)
        return True


def agree(ledger: SqliteLedger, known: LedgerHead, place: str) -> None:
    """Compare a ledger with a head that was remembered of it.

    Args:
        ledger: the file.
        known: the head; its digest may be the beginning of one.
        place: where it was remembered, for a person.

    Raises:
        LedgerError: rows are missing, or are others.
    """
    hint = f"put the newest copy of {ledger.path} back; if it is lost, note that and remove {known.ledger} from {place}"
    digest, head = ledger.digest_at(known.seq), ledger.head()
    if known.ledger != head.ledger:
        problem = f"{place} speaks of ledger {known.ledger}, and {ledger.path} is ledger {head.ledger}"
        raise LedgerError(problem, hint="compare with a report that was made from this ledger")
    if digest is None:
        problem = (
            f"ledger {ledger.path} ends at row {head.seq}, and {place} remembers row {known.seq}: rows were deleted, "
        )
        raise LedgerError(f"{problem}or an older copy was put in its place", hint=hint)
    if not digest.startswith(known.digest):
        raise LedgerError(f"row {known.seq} of ledger {ledger.path} is not the one that {place} remembers", hint=hint)


def parse_head(text: str) -> LedgerHead:
    """A head as reports print it.

    Raises:
        LedgerError: it is none.
    """
    identity, _, rest = text.partition(":")
    return _head(identity, rest)


def _head(identity: str, said: str) -> LedgerHead:
    seq, _, digest = said.partition(":")
    if _SEQ.fullmatch(seq) is None or not digest:
        raise LedgerError(
            f"{said!r} is no head of a ledger",
            hint=f"remove {identity} from the ConfigMap {NAME}, or copy the head whole",
        )
    return LedgerHead(identity, int(seq), digest)
