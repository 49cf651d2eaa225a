"""The ports of the loop: what it needs of the outside, as protocols that adapters in the rooms fulfil."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from gpuwise.model.command import Command, Directive, Intent, LedgerHead, Outcome
from gpuwise.model.inventory import Inventory, Node, Workload, WorkloadRef
from gpuwise.model.recommendation import Blocked, Evidence, Recommendation
from gpuwise.model.usage import UsageSeries, Window

Item = TypeVar("Item")
Result = TypeVar("Result")

Cite = Callable[[Workload, Evidence], str | None]
"""What asks a source for the samples behind a number about a workload; None where it has no such samples."""

Object = dict[str, Any]
"""A Kubernetes object as the API sends it."""


class UsageSource(Protocol):
    """Where usage is read. It is picklable: scoring workers read their own share."""

    def read(self, workloads: Sequence[Workload], inventory: Inventory, window: Window) -> Iterator[UsageSeries]:
        """Yield one series per workload, in the order asked for; a workload with no samples yields one without devices.

        Raises:
            SourceError: unreachable, refused, partial, or not what it should be; never an empty answer instead.
        """
        ...

    def read_nodes(self, nodes: Sequence[Node], inventory: Inventory, window: Window) -> Iterator[UsageSeries]:
        """Yield one series per node, in the order asked for, of its devices at the times when no pod held them.

        The workload of such a series is `node_ref(node)`, its devices' pod is "". Work on these devices is use outside
        Kubernetes. A device-level row beside the rows of pods that share the device is not one of these.

        Raises:
            SourceError: as `read`.
        """
        ...

    def cite(self, window: Window) -> Cite:
        """Tell how a person sees the samples of a window, in the source's own language.

        Raises:
            SourceError: as `read`.
        """
        ...

    def describe(self) -> str:
        """Say in a sentence what can be read here now.

        Raises:
            SourceError: nothing can, and why.
        """
        ...


class InventorySource(Protocol):
    """Where the fleet is read."""

    def snapshot(self, now_s: int) -> Inventory:
        """List everything, or fail as a whole.

        Raises:
            ClusterError: one of the lists failed; an error never becomes an empty list.
        """
        ...


class Checkpoints(Protocol):
    """Where hours of usage are kept from one run to the next; what is lost here is only read again."""

    def load(self, workloads: Iterable[WorkloadRef]) -> Mapping[WorkloadRef, Sequence[bytes]]:
        """What was kept, in the order of its names; nothing for an unknown workload."""
        ...

    def save(self, kept: Mapping[WorkloadRef, Mapping[str, bytes]]) -> None:
        """Keep checkpoints by name, in place of earlier ones of the same name; all or none of them."""
        ...


class Executor(Protocol):
    """Where pure work runs: in this process, or on Ray."""

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Apply a picklable function to each item; results come in the items' order, the same on every executor.

        Items are taken up as there is room for them, not all at once.
        """
        ...


class Enactor(Protocol):
    """The only writer to workloads."""

    def enact(self, commands: Sequence[Command]) -> list[Outcome]:
        """Carry out each command once, or say why not; every effect has its intent in the ledger before it."""
        ...

    def undo(self, command_id: str) -> Outcome:
        """Restore exactly what a command changed, or refuse with the difference if a person changed it since."""
        ...

    def recover(self) -> list[Outcome]:
        """Settle what a crash or a lost answer left open, by what the target looks like (I8, I31)."""
        ...


class Checker(Protocol):
    """What an enactor would refuse now, found out by reads alone."""

    def check(self, command: Command) -> Blocked | None:
        """The refusal, None if it would carry the command out."""
        ...


class Ledger(Protocol):
    """What gpuwise remembers: append-only, hash-chained."""

    def head(self) -> LedgerHead:
        """The newest row."""
        ...

    def check(self) -> None:
        """Compare it with what is remembered of it elsewhere.

        Raises:
            LedgerError: rows are missing, or are others.
        """
        ...

    def record_run(
        self,
        now_s: int,
        recommendations: Iterable[Recommendation],
        blocked: Iterable[Blocked],
        alternatives: Iterable[Recommendation] = (),
    ) -> None:
        """Remember what one run found; alternatives exclude a recommendation, and are worth less."""
        ...

    def record_intent(self, intent: Intent, *, limit: int, per_s: int) -> bool:
        """Spend one unit of the disruption budget and write the intent, in one transaction; False if it is spent.

        An earlier intent that is known to have written nothing does not count.

        Args:
            intent: what is about to be done; its command id must be new.
            limit: effects allowed in any `per_s` seconds.
            per_s: length of the sliding window, seconds.
        """
        ...

    def record_outcome(self, outcome: Outcome) -> None:
        """Remember what came of it."""
        ...

    def intent(self, command_id: str) -> Intent | None:
        """The intent of that command, or None."""
        ...

    def intents(self, *, since_s: int = 0) -> list[Intent]:
        """Intents at or after an instant, oldest first."""
        ...

    def record_directive(self, directive: Directive) -> None:
        """Remember a person's word."""
        ...

    def directives(self) -> list[Directive]:
        """All of them, oldest first."""
        ...

    def recommendations(self) -> list[Recommendation]:
        """What the latest run recommended; empty if there was none."""
        ...

    def alternatives(self) -> list[Recommendation]:
        """What the latest run found besides: of less worth than a recommendation that excludes it."""
        ...

    def blocked(self) -> list[Blocked]:
        """What blocked the latest run's changes; empty if there was none."""
        ...

    def outcomes(self, *, since_s: int = 0) -> list[Outcome]:
        """Outcomes at or after an instant, oldest first."""
        ...


@dataclass(frozen=True, slots=True)
class Access:
    """A right that RBAC grants.

    Attributes:
        verb: "patch".
        group: API group, "" for the core.
        resource: plural, with a subresource after a slash.
        namespace: where, "" for the whole cluster.
        name: of one object, "" for all.
    """

    verb: str
    group: str
    resource: str
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        """As RBAC's own messages say it: "patch deployments.apps in namespace search"."""
        what = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{self.verb} {what}{f' in namespace {self.namespace}' if self.namespace else ''}"


class ClusterReader(Protocol):
    """The Kubernetes API, reading only."""

    def list(self, path: str, *, label_selector: str = "", field_selector: str = "") -> list[Object]:
        """All objects under a collection path such as "/apis/apps/v1/deployments", page by page.

        Raises:
            ClusterError: any page failed.
        """
        ...

    def list_optional(self, path: str, *, label_selector: str = "", field_selector: str = "") -> Sequence[Object]:
        """As `list`, and nothing where no such kind is installed.

        Raises:
            ClusterError: it is installed and any page failed.
        """
        ...

    def get(self, path: str) -> Object:
        """One object by its path.

        Raises:
            Gone: there is none.
            ClusterError: anything else.
        """
        ...

    def may(self, access: Access) -> bool | None:
        """Whether this identity has a right; None if that cannot be asked. Nothing is changed by asking."""
        ...


class ClusterWriter(ClusterReader, Protocol):
    """The Kubernetes API, writing too; given to the enactor and to the ledger's anchor alone."""

    def create(self, path: str, body: Object) -> Object:
        """Create one object.

        Raises:
            Conflict: there is one of that name.
            ClusterError: anything else.
        """
        ...

    def patch(
        self, path: str, body: Mapping[str, Any] | list[Object], *, content_type: str, dry_run: bool = False
    ) -> Object:
        """Patch one object; preconditions travel in metadata.uid and metadata.resourceVersion.

        Args:
            path: of the object or its subresource.
            body: merge or strategic-merge patch, or a list of RFC 6902 operations.
            content_type: "application/" and one of "merge-patch+json", "strategic-merge-patch+json", "json-patch+json".
            dry_run: let the server check it and keep nothing.

        Raises:
            Conflict: a precondition does not hold.
            ClusterError: anything else.
        """
        ...
