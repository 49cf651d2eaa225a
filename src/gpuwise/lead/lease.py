"""The Lease object (coordination.k8s.io/v1): who is the leader, since which term, with which ledger."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gpuwise.model.errors import Gone
from gpuwise.model.ports import ClusterWriter, Object

LEDGER = "gpuwise.dev/ledger"
"""Annotation of the Lease: identity of the ledger of the latest leader."""
RENEWALS = "gpuwise.dev/renewals"
"""Annotation of the Lease: a count that each renewal changes, so that a clock that stands still does not hide one."""
_MERGE_PATCH = "application/merge-patch+json"


@dataclass(frozen=True, slots=True)
class Record:
    """The Lease as it was read.

    Attributes:
        holder: identity of the leader, "" if it was released.
        transitions: number of takeovers: the epoch of the holder's term.
        duration_s: how long a renewal lasts, seconds, as the holder says.
        version: resourceVersion; each renewal changes it.
        uid: of the object.
        ledger: identity of the ledger of the latest leader, "" if not known.
    """

    holder: str
    transitions: int
    duration_s: float
    version: str
    uid: str
    ledger: str


class Lease:
    """Reads and writes one Lease.

    Args:
        cluster: client with a timeout below the renew deadline, and without retries.
        namespace: of the Lease.
        name: of the Lease.
        wall: returns epoch seconds, for the times that people read in the object; nothing is decided by them.
    """

    def __init__(self, cluster: ClusterWriter, namespace: str, name: str, wall: Callable[[], float]) -> None:
        self._cluster, self._wall = cluster, wall
        self._collection = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._namespace, self._name = namespace, name
        self._renewals = 0

    @property
    def place(self) -> str:
        """Name and namespace, for messages."""
        return f"Lease {self._name} in namespace {self._namespace}"

    def read(self) -> Record | None:
        """The Lease, None if it does not exist.

        Raises:
            ClusterError: it cannot be read.
        """
        try:
            return _record(self._cluster.get(f"{self._collection}/{self._name}"))
        except Gone:
            return None

    def write(self, seen: Record | None, holder: str, transitions: int, duration_s: float, ledger: str) -> Record:
        """Create the Lease, or replace what was read.

        Args:
            seen: the Lease as it was read; another version is not overwritten.
            holder: identity of the leader, "" releases it.
            transitions: epoch of the term.
            duration_s: seconds.
            ledger: identity of the leader's ledger, "" keeps the annotation.

        Raises:
            Conflict: the Lease has changed since.
            ClusterError: it cannot be written.
        """
        at = datetime.fromtimestamp(self._wall(), UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        spec: dict[str, Any] = {
            "holderIdentity": holder,
            "leaseTransitions": transitions,
            "leaseDurationSeconds": max(1, round(duration_s)),
            "renewTime": at,
        }
        if seen is None or seen.holder != holder:
            spec["acquireTime"] = at
        self._renewals += 1
        annotations = {"annotations": {RENEWALS: str(self._renewals)} | ({LEDGER: ledger} if ledger else {})}
        if seen is None:
            body = {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": self._name, **annotations},
                "spec": spec,
            }
            return _record(self._cluster.create(self._collection, body))
        precondition = {"uid": seen.uid, "resourceVersion": seen.version, **annotations}
        body = {"metadata": precondition, "spec": spec}
        return _record(self._cluster.patch(f"{self._collection}/{self._name}", body, content_type=_MERGE_PATCH))


def _record(item: Object) -> Record:
    """Read the fields; other programs and people may write a Lease, so each may be absent."""
    metadata, spec = item["metadata"], item.get("spec") or {}
    return Record(
        holder=str(spec.get("holderIdentity") or ""),
        transitions=int(spec.get("leaseTransitions") or 0),
        duration_s=float(spec.get("leaseDurationSeconds") or 0),
        version=str(metadata["resourceVersion"]),
        uid=str(metadata["uid"]),
        ledger=str((metadata.get("annotations") or {}).get(LEDGER) or ""),
    )
