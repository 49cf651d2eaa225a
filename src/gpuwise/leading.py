"""Connect the election of the leader: its Lease, its clients, and the comparison of ledgers for a person's command."""

import socket
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from gpuwise.cluster import KubernetesCluster
from gpuwise.config import Config
from gpuwise.lead.clock import monotonic
from gpuwise.lead.elector import Elector
from gpuwise.lead.leader import Leader
from gpuwise.lead.lease import LEDGER, Lease
from gpuwise.model.errors import Forbidden, LedgerError
from gpuwise.model.ports import ClusterWriter, Ledger

NAMESPACE = "gpuwise"
"""Namespace of gpuwise's own objects outside of a pod, unless one is configured."""
# File in which a pod finds its namespace; absent outside a cluster.
_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def elects(config: Config, cluster: ClusterWriter) -> bool:
    """Whether a leader is elected: as configured, else in a pod, and where the Lease exists or its namespace is set.

    Where the Lease exists another process takes part in the election, so one that does not would be a second writer.

    Raises:
        ClusterError: whether the Lease exists cannot be read.
    """
    if config.lead.enabled is not None:
        return config.lead.enabled
    if config.lead.namespace is not None or pod_namespace() is not None:
        return True
    lease = _lease(config, cluster)
    try:
        return lease.read() is not None
    except Forbidden as error:
        problem = f"whether another gpuwise leads in this cluster is not known: {error.problem}"
        hint = f"ask for the right to get {lease.place}, or use --no-leader-elect if no other gpuwise writes here"
        raise Forbidden(problem, hint=hint) from error


def leader(config: Config, ledger: Ledger, stack: ExitStack, took_over: Callable[[], None]) -> Leader:
    """Take part in the election; the stack releases the lease.

    Args:
        config: the configuration.
        ledger: of this process.
        stack: ends the election.
        took_over: called when this process becomes the leader.

    Raises:
        InputError: the durations do not fit together.
    """
    config.lead.check()
    client = _connected(config, config.lead.election_timeout_s, lambda: None)
    stack.callback(client.close)
    identity = f"{socket.gethostname()}_{uuid.uuid4()}"
    elector = Elector(_lease(config, client), config.lead, identity, ledger.head().ledger, monotonic)
    found = Leader(elector, config.lead, identity, took_over=took_over)
    stack.callback(found.close)
    found.start()
    return found


def writer(config: Config, asked: Leader, stack: ExitStack) -> KubernetesCluster:
    """Connect the enactor's client: it asks the leader before each write, and gives up before the lease expires."""
    client = _connected(config, config.lead.write_timeout_s, asked.epoch)
    stack.callback(client.close)
    return client


def compare_ledgers(config: Config, cluster: ClusterWriter, ledger: Ledger) -> None:
    """Compare the ledger of a person's command with that of the latest leader, so that they use one budget.

    A leader that restarts has released the Lease, and goes on with its ledger. A person who may not read the Lease is
    not stopped by that.

    Raises:
        LedgerError: the latest leader has another ledger.
        ClusterError: the API server did not answer.
    """
    lease = _lease(config, cluster)
    try:
        seen = lease.read() if config.lead.enabled is not False else None
    except Forbidden:
        return
    own = ledger.head().ledger
    if seen is None or seen.ledger in ("", own):
        return
    leads = f"{seen.holder} is the leader in this cluster and has"
    who = leads if seen.holder else f"the latest leader of {lease.place} had"
    lost = f"if that one is lost: kubectl annotate lease NAME -n NAMESPACE {LEDGER}-"
    hint = f"use its ledger (ledger.url), or run the command in its pod with kubectl exec; {lost}"
    raise LedgerError(f"{who} ledger {seen.ledger}, not this one, {own}", hint=hint)


def own_namespace() -> str:
    """Namespace of gpuwise's own objects, if none is configured."""
    return pod_namespace() or NAMESPACE


def pod_namespace() -> str | None:
    """Namespace of the pod, None outside of a cluster."""
    return _NAMESPACE_FILE.read_text().strip() if _NAMESPACE_FILE.exists() else None


def _lease(config: Config, cluster: ClusterWriter) -> Lease:
    return Lease(cluster, config.lead.namespace or own_namespace(), config.lead.name, time.time)


def _connected(config: Config, timeout_s: float, before_write: Callable[[], object]) -> KubernetesCluster:
    given = config.kubernetes
    return KubernetesCluster.connect(
        kubeconfig=given.kubeconfig,
        context=given.context,
        request_timeout_s=timeout_s,
        wait_budget_s=0.0,
        before_write=before_write,
    )
