"""The memory of the loop: what was found, done and paid."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol

from gpuwise.model.command import Directive, Intent, LedgerHead, Limit, Outcome, Term, Trigger
from gpuwise.model.cost import CostDay, CostRow, CostSum
from gpuwise.model.delivery import Delivery
from gpuwise.model.inventory import SeenNode
from gpuwise.model.recommendation import Blocked, Recommendation


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

    def found_s(self) -> int | None:
        """When the latest run was, epoch seconds; None without one."""
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
