"""The begin of a term: the ledger gets it, and nothing is written before every list of the cluster has succeeded (I4).

cluster-autoscaler acted on an empty cache after a failover and removed nodes that were in use (autoscaler#7419).
"""

from collections.abc import Callable

from gpuwise.lead.leader import Leader
from gpuwise.model.command import Term
from gpuwise.model.errors import NotLeader
from gpuwise.model.inventory import Inventory
from gpuwise.model.ports import InventorySource, Ledger


class FirstLists:
    """The `InventorySource` port: passes the lists on, and tells the leader that they succeeded.

    Args:
        inventory: lists the cluster.
        leader: takes part in the election.
        ledger: gets each term of this process.
        cluster_name: of the cluster, if its uid is not known.
        clock: epoch seconds.
    """

    def __init__(
        self,
        inventory: InventorySource,
        leader: Leader,
        ledger: Ledger,
        cluster_name: str,
        clock: Callable[[], int],
    ) -> None:
        self._inventory, self._leader, self._ledger = inventory, leader, ledger
        self._cluster_name, self._clock = cluster_name, clock
        self._begun: int | None = None

    def snapshot(self, now_s: int) -> Inventory:
        """See the port. The term counts as begun only if it had begun before the first list.

        Raises:
            Superseded: another process has begun a later term in the ledger.
        """
        term = self._leader.term()
        fleet = self._inventory.snapshot(now_s)
        if term is not None:
            self._ledger.belongs_to(fleet.cluster or self._cluster_name)
            if term != self._begun:
                self._ledger.check()
                self._begun = term = self._begin(term, fleet.cluster)
            self._leader.warmed(term)
        return fleet

    def _begin(self, term: int, cluster: str) -> int:
        latest = self._ledger.term()
        if latest is not None and latest.epoch >= term:
            advanced = self._leader.advance(latest.epoch + 1)
            if advanced is None:
                raise NotLeader("this process is no longer the leader", hint="the leader writes")
            term = advanced
        self._ledger.begin_term(Term(term, self._leader.identity, self._clock(), cluster))
        return term
