"""The ports of the loop: what it needs from outside, as protocols that the adapters of other packages implement."""

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from gpuwise.model.billed import BilledUse
from gpuwise.model.command import Command, Directive, Intent, LedgerHead, Limit, Outcome, ServiceLevel, Term, Trigger
from gpuwise.model.cost import CostDay, CostRow, CostSum
from gpuwise.model.delivery import Delivery
from gpuwise.model.inventory import Inventory, Node, SeenNode, Workload, WorkloadRef
from gpuwise.model.packed import Packed
from gpuwise.model.profile import UsageProfile
from gpuwise.model.recommendation import Blocked, Evidence, Recommendation
from gpuwise.model.usage import UsageSeries, Window

Item = TypeVar("Item")
Result = TypeVar("Result")

Cite = Callable[[Workload, Evidence], str | None]
"""Returns the query for the samples behind a number about a workload, or None if the source has no such samples."""

Object = dict[str, Any]
"""A Kubernetes object as the API returns it."""


class UsageSource(Protocol):
    """Where usage is read. It is picklable, because scoring workers read their own shards."""

    def read(self, workloads: Sequence[Workload], inventory: Inventory, window: Window) -> Iterator[UsageSeries]:
        """Yield one series per workload, in the order of `workloads`; without samples the series has no devices.

        Raises:
            SourceError: the source is unreachable, refuses, or returns partial or invalid data; this never becomes an
                empty result.
        """
        ...

    def read_nodes(self, nodes: Sequence[Node], inventory: Inventory, window: Window) -> Iterator[UsageSeries]:
        """Yield one series per node, in the order of `nodes`, with its devices while they were unallocated.

        The workload of such a series is `node_ref(node)`, its devices' pod is "". Work on these devices is use outside
        Kubernetes. A device-level row next to the rows of pods that share the device is not part of it.

        Raises:
            SourceError: as `read`.
        """
        ...

    def read_deleted(self, inventory: Inventory, window: Window) -> Iterator[UsageSeries]:
        """Yield the usage of the pods that no workload of the inventory owns, one series for each namespace.

        The workload of such a series is `deleted_ref(namespace)`. It is billed; nothing is recommended for it.

        Raises:
            SourceError: as `read`.
        """
        ...

    def past_nodes(self, inventory: Inventory, window: Window) -> Sequence[Node]:
        """The nodes with GPUs that existed in a window and no longer exist, as far as the source knows them.

        Each has `gone_s`. A node that may belong to another cluster is not one of them (I28).

        Raises:
            SourceError: as `read`.
        """
        ...

    def identity(self) -> Mapping[str, str]:
        """Facts about the data: two machines on which they are equal read the same data.

        Raises:
            SourceError: as `read`.
        """
        ...

    @property
    def lists_allocations(self) -> bool:
        """Whether pods without samples had no GPU: the source lists every allocation, with its share of the card."""
        ...

    def cite(self, window: Window) -> Cite:
        """The function that returns queries for the samples of a window, in the source's own language.

        Raises:
            SourceError: as `read`.
        """
        ...

    def describe(self) -> str:
        """Describe in one sentence what can be read here now.

        Raises:
            SourceError: nothing can be read; the message has the reason.
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
    """Where hours of usage are kept between runs; data that is lost here is read from the source again."""

    def load(self, workloads: Iterable[WorkloadRef]) -> Mapping[WorkloadRef, Sequence[bytes]]:
        """The saved checkpoints, ordered by name; none for an unknown workload."""
        ...

    def save(self, kept: Mapping[WorkloadRef, Mapping[str, bytes]]) -> None:
        """Save checkpoints by name and replace earlier ones of the same name; all of them or none."""
        ...

    def collect(self, workloads: Iterable[WorkloadRef], *, now_s: int) -> None:
        """Note the workloads of the fleet, and delete the checkpoints of those that no pass has listed for 100 days.

        Args:
            workloads: of the whole fleet.
            now_s: epoch seconds.
        """
        ...


class Profiles(Mapping[WorkloadRef, UsageProfile]):
    """The profiles of one pass, by workload, and by `node_ref` for unallocated devices.

    They are read from where they are stored one shard at a time, so it is cheap to read them in their own order, which
    is that of the inventory, and more expensive to read them in another one.
    """

    @abstractmethod
    def add(self, packed: Packed) -> None:
        """Store the profiles of a shard."""

    @property
    @abstractmethod
    def billed(self) -> Mapping[WorkloadRef, BilledUse]:
        """What the bill needs of each workload, which is stored apart from the profile."""


class Executor(Protocol):
    """Where pure work runs: in this process, or on Ray."""

    def map(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        *,
        same: Callable[[], Mapping[str, str]] | None = None,
    ) -> Iterator[Result]:
        """Apply a picklable function to each item; results come in the items' order, the same on every executor.

        Items are submitted as workers become free, not all at once.

        Args:
            function: the work; it holds no secret.
            items: its arguments.
            same: returns facts that must be equal on every machine that takes part, such as a digest of the data.

        Raises:
            SourceError: a machine failed, no machine has the same facts, or the time is over.
        """
        ...


class Enactor(Protocol):
    """The only writer to workloads."""

    def enact(self, commands: Sequence[Command]) -> list[Outcome]:
        """Carry out each command once, or return why not; the intent is in the ledger before the effect."""
        ...

    def undo(self, command_id: str) -> Outcome:
        """Restore exactly the fields that a command changed, or refuse with the difference if they changed since."""
        ...

    def recover(self) -> list[Outcome]:
        """Settle the commands that a crash or a lost answer left open, from the state of their targets (I8, I31)."""
        ...

    def follow(self) -> list[Outcome]:
        """Check the effects that are being watched, and take back what fails its check (I13); the watches that ended.

        An effect is applied only if its pods show it, not by its object alone.
        """
        ...


class Leadership(Protocol):
    """Whether this process is the leader of its cluster."""

    def epoch(self) -> int:
        """The term of this process, if its lease is certain to outlast one request.

        Raises:
            NotLeader: it is not the leader, or the lease is about to expire.
        """
        ...


class Levels(Protocol):
    """Where service levels are measured."""

    def value(self, level: ServiceLevel) -> float | None:
        """The number now; None if it cannot be measured, which is never good news."""
        ...


class Fit(Protocol):
    """Looks for a node for a new pod."""

    def refusal(self, spec: Object, leaving: Collection[str]) -> str | None:
        """Why no node takes a pod of this spec now, None if one does or if it cannot be said.

        The pods with these uids end before it starts.

        Raises:
            ClusterError: nodes or pods could not be listed.
        """
        ...

    def over_quota(self, namespace: str, spec: Object, pods: Sequence[Object], ending: Collection[str]) -> str | None:
        """Which quota of the namespace would refuse a pod of this spec that replaces one of the pods, None if none.

        The pods with the uids `ending` end before it starts.

        Raises:
            Forbidden: the quotas may not be read.
            ClusterError: they could not be read.
        """
        ...


class Checker(Protocol):
    """Finds out by reads alone whether an enactor would refuse a command now."""

    def check(self, command: Command) -> Blocked | None:
        """The refusal, or None if the enactor would carry the command out."""
        ...


class CostHistory(Protocol):
    """The daily cost of one cluster, kept beside the ledger. A closed day never changes."""

    def days(self, since_s: int, until_s: int) -> list[CostDay]:
        """The days that are known, oldest first; their midnights are within the two times."""
        ...

    def of(self, cluster: str) -> "CostHistory":
        """The history of one of `clusters()`."""
        ...

    def record(self, counted: Sequence[CostDay], costs: Iterable[CostRow]) -> None:
        """Store days with their rows. A day that is closed, or of which more is stored, stays as it is."""
        ...

    def sums(
        self, by: Sequence[str], since_s: int, until_s: int, where: Mapping[str, Collection[str]] | None = None
    ) -> Iterable[CostSum]:
        """The sums of the days between two times, by some of `KEYS`, "day" and "cluster", in the order of the keys.

        Args:
            by: the keys.
            since_s: midnight of the first day, epoch seconds.
            until_s: midnight after the last one.
            where: only rows in which a key has one of these values.
        """
        ...

    def worked(self, since_s: int, until_s: int) -> Iterable[tuple[str, str | None, str | None, int]]:
        """The workloads whose declared work advanced on a day: cluster, namespace, "Kind/name" and the day's midnight.

        Args:
            since_s: midnight of the first day, epoch seconds.
            until_s: midnight after the last one.
        """
        ...

    def rows(self, since_s: int, until_s: int) -> Iterable[CostRow]:
        """The rows of the days between two times, oldest day first."""
        ...

    def clusters(self) -> Sequence[str]:
        """The clusters that have days in the database, also if the history is of one."""
        ...


class Ledger(Protocol):
    """The append-only, hash-chained record of what gpuwise did and found."""

    def head(self) -> LedgerHead:
        """The newest row."""
        ...

    def check(self) -> None:
        """Compare the ledger with the copy of its head that is kept elsewhere.

        Raises:
            LedgerError: rows are missing or differ.
        """
        ...

    def record_run(
        self,
        now_s: int,
        recommendations: Iterable[Recommendation],
        blocked: Iterable[Blocked],
        alternatives: Iterable[Recommendation] = (),
        nodes: Iterable[SeenNode] = (),
        prices: str = "",
    ) -> None:
        """Record what one run found; an alternative shares a claim with a recommendation that is worth more.

        The nodes are the fleet's nodes, and those that are remembered; the prices are named by `PriceBook.version`.
        """
        ...

    def prices(self) -> str:
        """The version of the prices with which the latest run computed its savings, "" if not known."""
        ...

    def belongs_to(self, cluster: str) -> None:
        """Read and write the rows of one cluster from now on; rows of no known cluster belong to every cluster.

        Args:
            cluster: uid of the cluster, or another name of it where that is not known.
        """
        ...

    def costs(self) -> CostHistory:
        """The cost history of the cluster, in the same database."""
        ...

    def of_every_cluster(self) -> "Ledger":
        """The same ledger, to read the rows of every cluster in its database."""
        ...

    def nodes(self) -> list[SeenNode]:
        """The nodes that the latest run saw or remembered."""
        ...

    def record_intent(self, intent: Intent, *, limits: Sequence[Limit]) -> Limit | None:
        """Use one unit of each budget and write the intent, in one transaction, or return the budget that is used up.

        An earlier intent that is known to have written nothing does not count.

        Args:
            intent: the effect that is about to be written; its command id must be new.
            limits: the budgets of its scopes.

        Raises:
            Superseded: the ledger has a later term than the intent's epoch.
        """
        ...

    def begin_term(self, term: Term) -> None:
        """Record that a process is the leader from now on; intents of earlier terms are refused.

        Raises:
            Superseded: the ledger already has this term or a later one.
        """
        ...

    def term(self) -> Term | None:
        """The latest term, None if there was no election."""
        ...

    def record_outcome(self, outcome: Outcome) -> None:
        """Record the outcome of a command."""
        ...

    def intent(self, command_id: str) -> Intent | None:
        """The intent of that command, or None."""
        ...

    def intents(self, *, since_s: int = 0) -> list[Intent]:
        """Intents at or after an instant, oldest first."""
        ...

    def attempts(
        self, *, since_s: int, uids: Collection[str] = (), ids: Collection[str] = ()
    ) -> tuple[list[Intent], list[Outcome]]:
        """Intents since an instant, all those on some targets, and some others; with every outcome, oldest first.

        Args:
            since_s: epoch seconds.
            uids: of workloads.
            ids: of commands; those of another cluster are left out.
        """
        ...

    def unsettled(self) -> list[Intent]:
        """Intents without an outcome, or whose latest outcome is unknown or being watched, oldest first."""
        ...

    def outcome(self, command_id: str) -> Outcome | None:
        """The latest outcome of a command, or None."""
        ...

    def record_directive(self, directive: Directive) -> None:
        """Record a person's order."""
        ...

    def directives(self) -> list[Directive]:
        """All directives, oldest first."""
        ...

    def record_trigger(self, trigger: Trigger) -> None:
        """Record the alerts that asked for a pass."""
        ...

    def triggers(self) -> list[Trigger]:
        """All triggers, oldest first."""
        ...

    def begin_delivery(self, delivery: Delivery, *, again: bool) -> Delivery | None:
        """Record that a report is about to be sent, or return the earlier event because of which it must not be.

        The look at earlier events and the new one are one transaction, so two processes never begin the same delivery.

        Args:
            delivery: the delivery, with the status "begun".
            again: whether a person asks for it again, see `model.delivery.may_begin`.
        """
        ...

    def record_delivery(self, delivery: Delivery) -> None:
        """Record how a delivery ended."""
        ...

    def deliveries(self) -> list[Delivery]:
        """All events of deliveries, oldest first."""
        ...

    def recommendations(self) -> list[Recommendation]:
        """What the latest run recommended; empty if there was no run."""
        ...

    def alternatives(self) -> list[Recommendation]:
        """The alternatives of the latest run: each shares a claim with a recommendation that is worth more."""
        ...

    def blocked(self) -> list[Blocked]:
        """What blocked the latest run's changes; empty if there was no run."""
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
        name: name of one object, "" for all.
    """

    verb: str
    group: str
    resource: str
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        """Format it as RBAC's own messages do: "patch deployments.apps in namespace search"."""
        what = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{self.verb} {what}{f' in namespace {self.namespace}' if self.namespace else ''}"


class ClusterReader(Protocol):
    """The Kubernetes API, read-only."""

    def list(self, path: str, *, label_selector: str = "", field_selector: str = "") -> list[Object]:
        """All objects under a collection path such as "/apis/apps/v1/deployments", page by page.

        Raises:
            ClusterError: any page failed.
        """
        ...

    def list_optional(self, path: str, *, label_selector: str = "", field_selector: str = "") -> Sequence[Object]:
        """As `list`, but empty if the kind is not installed.

        Raises:
            ClusterError: the kind is installed and any page failed.
        """
        ...

    def get(self, path: str) -> Object:
        """One object by its path.

        Raises:
            Gone: the object does not exist.
            ClusterError: anything else.
        """
        ...

    def may(self, access: Access) -> bool | None:
        """Whether this identity has a right; None if the API server cannot answer. The check changes nothing."""
        ...


class ClusterWriter(ClusterReader, Protocol):
    """The Kubernetes API, read and write; only the enactor and the ledger's anchor get it."""

    def create(self, path: str, body: Object) -> Object:
        """Create one object.

        Raises:
            Conflict: an object of that name exists.
            ClusterError: anything else.
        """
        ...

    def patch(
        self, path: str, body: Mapping[str, Any] | list[Object], *, content_type: str, dry_run: bool = False
    ) -> Object:
        """Patch one object; metadata.uid and metadata.resourceVersion in the body are preconditions.

        Args:
            path: path of the object or its subresource.
            body: merge or strategic-merge patch, or a list of RFC 6902 operations.
            content_type: "application/" and one of "merge-patch+json", "strategic-merge-patch+json", "json-patch+json".
            dry_run: let the server validate the patch without storing it.

        Raises:
            Conflict: a precondition failed.
            ClusterError: anything else.
        """
        ...
