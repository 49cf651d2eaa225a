"""The loop, and what a person's commands need, with their adapters."""

import typing
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from gpuwise import leading
from gpuwise.config import Config
from gpuwise.decide.settings import DecideSettings
from gpuwise.enact.enactor import KubernetesEnactor
from gpuwise.enact.examine import Examiner
from gpuwise.lead.first_lists import FirstLists
from gpuwise.manual import ManualActions
from gpuwise.memory.ledger import SqliteLedger
from gpuwise.memory.profile_file import ProfileFile
from gpuwise.model.command import Mode
from gpuwise.model.ports import ClusterWriter, InventorySource, Ledger
from gpuwise.pipeline import Pipeline, Progress, Watch, quiet, unwatched
from gpuwise.sources.kubernetes.fit import ClusterFit
from gpuwise.sources.kubernetes.inventory import KubernetesInventory
from gpuwise.wiring.clock import Clock, now
from gpuwise.wiring.clusters import changeable, cluster, cluster_uid, inventory_settings, recorded, unchangeable
from gpuwise.wiring.executors import executor
from gpuwise.wiring.ledgers import ledger
from gpuwise.wiring.settings import enact_settings, loop_settings
from gpuwise.wiring.sources import checkpoints, levels, prices, usage

if typing.TYPE_CHECKING:
    from gpuwise.sources.past import Past


@contextmanager
def loop(
    config: Config,
    progress: Progress = quiet,
    *,
    writing: bool,
    planning: bool = False,
    any_policy: bool = False,
    at_s: int | None = None,
    watch: Watch = unwatched,
    took_over: Callable[[], None] = lambda: None,
) -> Iterator[Pipeline]:
    """Build the loop, and close its adapters at the end.

    Args:
        config: the configuration.
        progress: called as the loop progresses.
        writing: whether it may change the cluster; without this there is no enactor.
        planning: whether it plans what writing would do; it then refuses a ledger that writing would refuse.
        any_policy: whether its checker leaves out what only the policy forbids, because others are tried later.
        at_s: use this instant instead of the clock, epoch seconds; None uses the clock.
        watch: context manager around each step.
        took_over: called when this process becomes the leader, on another thread.

    Raises:
        InputError: the configuration has no source of usage, or writing to a recording was requested.
        GpuwiseError: an adapter cannot be opened.
    """
    if writing and not changeable(config):
        raise unchangeable()
    clock: Clock = now if at_s is None else lambda: at_s
    with ExitStack() as stack:
        source = usage(config)
        book = prices(config)
        client = cluster(config, stack) if changeable(config) else None
        moves = writing and not config.enact.dry_run
        records = ledger(config, stack, client if writing or planning else None, moves=moves)
        inventory: InventorySource = KubernetesInventory(client or recorded(config), inventory_settings(config))
        elected = client is not None and moves and leading.elects(config, client)
        leader = leading.leader(config, records, stack, took_over) if elected else None
        writer: ClusterWriter | None = client
        if leader is not None:
            records.led_by(leader.epoch)
            inventory = FirstLists(inventory, leader, records, config.cluster_name, now)
            writer = leading.writer(config, leader, stack)
        yield Pipeline(
            inventory=inventory,
            usage=source,
            prices=book,
            executor=executor(config, stack),
            profiles=ProfileFile,
            ledger=records,
            settings=loop_settings(config),
            checkpoints=checkpoints(config, stack),
            enactor=_enactor(config, writer, records, clock) if writer and writing else None,
            leadership=leader,
            checker=_checker(config, client, clock, any_policy=any_policy) if client else None,
            progress=progress,
            watch=watch,
            clock=None if at_s is not None else clock,
        )


@contextmanager
def looking_back(config: Config, past: "Past") -> Iterator[Pipeline]:
    """Build the loop for a recorded past. It cannot write, and its ledger exists only in memory."""
    with ExitStack() as stack:
        yield Pipeline(
            inventory=past.inventory,
            usage=past.usage,
            prices=prices(config),
            executor=executor(config, stack),
            profiles=ProfileFile,
            ledger=stack.enter_context(SqliteLedger(Path(":memory:"))),
            settings=loop_settings(config),
        )


@contextmanager
def manual(config: Config, os_user: str) -> Iterator[ManualActions]:
    """Build what a person's commands need. They need no usage and no scoring, so undo works without Prometheus.

    Args:
        config: the configuration.
        os_user: the actor if the cluster does not tell whom it authenticates.
    """
    if not changeable(config):
        raise unchangeable()
    with ExitStack() as stack:
        client = cluster(config, stack)
        records = ledger(config, stack, client, moves=not config.enact.dry_run)
        records.belongs_to(cluster_uid(client))
        leading.compare_ledgers(config, client, records)
        user = client.user()
        enactor = _enactor(config, client, records, now)
        known = user is not None
        yield ManualActions(user or os_user, records, enactor, config.policy, now, known, config.enact.nodes)


def _checker(config: Config, client: ClusterWriter, clock: Clock, *, any_policy: bool) -> Examiner:
    unlimited = replace(config, policy=DecideSettings(mode=Mode.ENFORCE))
    return Examiner(client, enact_settings(unlimited if any_policy else config), clock, ClusterFit(client))


def _enactor(config: Config, client: ClusterWriter, records: Ledger, clock: Clock) -> KubernetesEnactor:
    return KubernetesEnactor(client, records, enact_settings(config), clock, levels(config), ClusterFit(client))
