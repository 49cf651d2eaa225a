"""Construct the adapters and connect them to the ports of the loop. No other module does this."""

import json
import sys
import time
import typing
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from gpuwise import leading
from gpuwise.cluster import KubernetesCluster
from gpuwise.config import Config, ScheduleConfig
from gpuwise.decide.settings import DecideSettings
from gpuwise.enact.enactor import KubernetesEnactor
from gpuwise.enact.examine import Examiner
from gpuwise.enact.settings import EnactSettings
from gpuwise.finops import FinopsSettings
from gpuwise.lead.first_lists import FirstLists
from gpuwise.manual import ManualActions
from gpuwise.memory.cost_history import SqlCostHistory
from gpuwise.memory.ledger import SqliteLedger, SqlLedger
from gpuwise.memory.ledger_anchor import AnchoredLedger, ConfigMapAnchor
from gpuwise.memory.ledger_database import Database, postgresql, sqlite
from gpuwise.memory.profile_file import ProfileFile
from gpuwise.model.command import FLEET, Limit, Mode, ServiceLevel
from gpuwise.model.errors import Forbidden, Gone, GpuwiseError, InputError
from gpuwise.model.inventory import Inventory
from gpuwise.model.ports import (
    Checkpoints,
    ClusterReader,
    ClusterWriter,
    Executor,
    InventorySource,
    Ledger,
    Levels,
    UsageSource,
)
from gpuwise.model.price import PriceBook
from gpuwise.model.runs import RunEnds
from gpuwise.model.tagging import TAGS
from gpuwise.model.usage import SCRAPE_S
from gpuwise.pipeline import HOUR_S, LoopSettings, Pipeline, Progress, Watch, quiet, unwatched
from gpuwise.schedule.limits import Limits
from gpuwise.sources.kubernetes.fit import ClusterFit
from gpuwise.sources.kubernetes.inventory import InventorySettings, KubernetesInventory, RecordedObjects, cluster_of
from gpuwise.sources.prices import read_prices

if typing.TYPE_CHECKING:
    from gpuwise.delivery.senders import Senders
    from gpuwise.sources.past import Past
    from gpuwise.sources.prometheus.gateways import GatewayUse
    from gpuwise.sources.prometheus.settings import PrometheusSettings
    from gpuwise.sources.prometheus.usage import PrometheusUsage

INVENTORY_FILE = "inventory.json"
# A pause must not wait long for a cluster that does not respond.
_ORDER_TIMEOUT_S = 5.0

Clock = Callable[[], int]
"""Epoch seconds."""


def now() -> int:
    """Epoch seconds, by this machine's clock."""
    return int(time.time())


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
        raise _unchangeable()
    clock: Clock = now if at_s is None else lambda: at_s
    unlimited = replace(config, policy=DecideSettings(mode=Mode.ENFORCE))
    with ExitStack() as stack:
        source = usage(config)
        book = prices(config)
        client = cluster(config, stack) if changeable(config) else None
        moves = writing and not config.enact.dry_run
        records = ledger(config, stack, client if writing or planning else None, moves=moves)
        inventory: InventorySource = KubernetesInventory(client or recorded(config), inventory_settings(config))
        elected = client is not None and moves and leading.elects(config, client)
        leader = leading.leader(config, records, stack, took_over) if elected else None
        writer = client
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
            settings=_settings(config),
            checkpoints=checkpoints(config, stack),
            enactor=_enactor(config, writer, records, clock) if writer and writing else None,
            leadership=leader,
            checker=Examiner(client, _enact_settings(unlimited if any_policy else config), clock, ClusterFit(client))
            if client
            else None,
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
            settings=_settings(config),
        )


@contextmanager
def manual(config: Config, os_user: str) -> Iterator[ManualActions]:
    """Build what a person's commands need. They need no usage and no scoring, so undo works without Prometheus.

    Args:
        config: the configuration.
        os_user: the actor if the cluster does not tell whom it authenticates.
    """
    if not changeable(config):
        raise _unchangeable()
    with ExitStack() as stack:
        client = cluster(config, stack)
        records = ledger(config, stack, client, moves=not config.enact.dry_run)
        records.belongs_to(_cluster_uid(client))
        leading.compare_ledgers(config, client, records)
        user = client.user()
        enactor = _enactor(config, client, records, now)
        known = user is not None
        yield ManualActions(user or os_user, records, enactor, config.policy, now, known, config.enact.nodes)


def _enactor(config: Config, client: ClusterWriter, records: Ledger, clock: Clock) -> KubernetesEnactor:
    return KubernetesEnactor(client, records, _enact_settings(config), clock, levels(config), ClusterFit(client))


@dataclass(frozen=True, slots=True)
class NamedCluster:
    """The cluster that the configuration names.

    Attributes:
        uid: its uid; "" if none is named, or its uid is not known.
        user: the user that it authenticates; None if it does not tell, or for a recording.
    """

    uid: str = ""
    user: str | None = None


def named_cluster(config: Config, records: Ledger) -> NamedCluster:
    """Return the cluster that a kubeconfig, context or recording in the configuration names.

    Args:
        config: the configuration.
        records: the ledger that gets an order for the cluster: that of its leader, or nobody would follow the order.

    Raises:
        LedgerError: the leader in the cluster has another ledger.
        GpuwiseError: the cluster does not respond, or the recording cannot be read.
    """
    given = config.kubernetes
    if given.kubeconfig is not None or given.context is not None:
        with KubernetesCluster.connect(
            kubeconfig=given.kubeconfig, context=given.context, wait_budget_s=0.0, plugin_timeout_s=_ORDER_TIMEOUT_S
        ) as client:
            found = NamedCluster(_cluster_uid(client), client.user())
            leading.compare_ledgers(config, client, records)
            return found
    if config.recording is None:
        return NamedCluster()
    return NamedCluster(KubernetesInventory(recorded(config), inventory_settings(config)).snapshot(now()).cluster)


def known_fleet(config: Config) -> Inventory | None:
    """Return the inventory of the cluster or recording that the configuration names; None if it names none.

    Raises:
        GpuwiseError: it cannot be read.
    """
    given = config.kubernetes
    with ExitStack() as stack:
        if given.kubeconfig is not None or given.context is not None:
            reader: ClusterReader = cluster(config, stack)
        elif config.recording is not None:
            reader = recorded(config)
        else:
            return None
        return KubernetesInventory(reader, inventory_settings(config)).snapshot(now())


def _cluster_uid(client: KubernetesCluster) -> str:
    """Return the uid of the cluster, "" if the namespace kube-system cannot be read: rows count for every cluster."""
    try:
        # A list of one: the cluster-wide role grants only lists.
        found = client.list("/api/v1/namespaces", field_selector="metadata.name=kube-system")
    except (Forbidden, Gone):
        return ""
    return str(found[0]["metadata"].get("uid") or "") if found else ""


def inventory_settings(config: Config) -> InventorySettings:
    """Return the names that are particular to the cluster."""
    return InventorySettings(config.kubernetes.gpu_resources, config.kubernetes.capacity_labels)


def changeable(config: Config) -> bool:
    """Return whether the inventory is from a cluster and not from a recording, which cannot be changed."""
    return config.recording is None or config.kubernetes.kubeconfig is not None


def _unchangeable() -> InputError:
    return InputError("a recording cannot be changed", hint="give a cluster with --kubeconfig, or use `gpuwise plan`")


def ledger(config: Config, stack: ExitStack, cluster: ClusterWriter | None = None, *, moves: bool = True) -> SqlLedger:
    """Open the ledger.

    Args:
        config: path or URL of the ledger.
        stack: closes it.
        cluster: cluster that stores the ledger's head; None for commands that only read.
        moves: whether the stored head is updated, or only compared.
    """
    if cluster is None:
        return stack.enter_context(open_ledger(config))
    return stack.enter_context(AnchoredLedger(ledger_database(config), anchor(config, cluster), moves=moves))


@contextmanager
def cost_history(config: Config) -> Iterator[SqlCostHistory]:
    """Open the cost history of all clusters in the ledger's database, to read it.

    Raises:
        InputError: there is no ledger.
        LedgerError: its database cannot be read.
    """
    must_exist(config)
    with closing(ledger_database(config)) as database:
        database.open()
        yield SqlCostHistory(database)


def must_exist(config: Config) -> None:
    """Refuse a file of the ledger that does not exist, which opening would create.

    Raises:
        InputError: there is no such file.
    """
    if config.ledger.url is None and not config.ledger.path.expanduser().exists():
        hint = "run `gpuwise scan` first, or check --ledger, ledger.path or ledger.url"
        raise InputError(f"there is no ledger {config.ledger.path}", hint=hint)


def open_ledger(config: Config) -> SqlLedger:
    """Open the ledger without its anchor; use it as a context manager."""
    return SqlLedger(ledger_database(config))


def ledger_database(config: Config) -> Database:
    """Return the database of the ledger: PostgreSQL if a URL is configured, else the SQLite file."""
    if config.ledger.url is None:
        return sqlite(config.ledger.path.expanduser())
    return postgresql(config.ledger.url, secret(config.ledger.password_file, "ledger.password_file"))


def anchor(config: Config, cluster: ClusterWriter) -> ConfigMapAnchor:
    """Return the ConfigMap that stores the ledger's head."""
    return ConfigMapAnchor(cluster, config.ledger.anchor_namespace or leading.own_namespace())


def prices(config: Config) -> PriceBook:
    """Return the prices of GPU-hours, with the discounts, rates and hardware that the configuration names.

    Raises:
        InputError: a file is not valid, or the configuration names what is not known.
    """
    return read_prices(config.prices, config.grid, config.pricing, config.rates, now())


def usage(config: Config) -> UsageSource:
    """Return the source of usage: the recording if one is configured, else Prometheus."""
    if config.recording is not None:
        from gpuwise.sources.recording import RecordedUsage  # noqa: PLC0415 - pyarrow takes 0.3 s

        return RecordedUsage(config.recording.resolve())
    return prometheus(config)


def gateway_use(config: Config) -> "GatewayUse":
    """Return the reader of what AI gateways have counted.

    Raises:
        InputError: no Prometheus is configured.
    """
    if config.prometheus.url is None:
        raise InputError(
            "no Prometheus is configured, which has the metrics of a gateway", hint="give --prometheus URL"
        )
    from gpuwise.sources.prometheus.gateways import GatewayUse  # noqa: PLC0415 - httpx takes 0.2 s

    return GatewayUse(_prometheus_settings(config))


@dataclass(frozen=True, slots=True)
class Runs:
    """How the runs of a period ended.

    Attributes:
        ends: by run; None if nothing tells it.
        cluster: uid of the cluster, "" if it is not known.
        missing: why a source has none, "" if all that are configured were read.
    """

    ends: RunEnds | None
    cluster: str
    missing: str


def runs(config: Config, start_s: int, end_s: int) -> Runs:
    """Read how the runs of a period ended: from Prometheus, and from the objects that exist now.

    Args:
        config: names the Prometheus, and the cluster or the recording.
        start_s: epoch seconds.
        end_s: likewise; not later than now.
    """
    from gpuwise.sources.kubernetes.runs import ended_runs  # noqa: PLC0415 - for one command

    found: dict[tuple[str, str], bool] = {}
    missing, read, uid = list[str](), False, ""
    if config.prometheus.url is not None:
        from gpuwise.sources.prometheus.runs import JobEnds  # noqa: PLC0415 - httpx takes 0.2 s

        try:
            ended = JobEnds(_prometheus_settings(config)).read(start_s, end_s)
        except GpuwiseError as error:
            missing.append(str(error))
        else:
            if ended is None:
                missing.append("Prometheus has no kube_job_complete and no kube_job_failed of kube-state-metrics")
            found, read = dict(ended or {}), ended is not None
    given = config.kubernetes
    if given.kubeconfig is not None or given.context is not None or config.recording is not None:
        try:
            with ExitStack() as stack:
                reader: ClusterReader = cluster(config, stack) if changeable(config) else recorded(config)
                found |= ended_runs(reader, start_s, end_s)
                uid, read = cluster_of(reader.list("/api/v1/namespaces")), True
        except GpuwiseError as error:
            missing.append(str(error))
    if not read and not missing:
        missing.append("no Prometheus and no cluster is configured, which tell how runs ended: give --prometheus URL")
    return Runs(found if read else None, uid, "; ".join(missing))


def prometheus(config: Config) -> "PrometheusUsage":
    """Return Prometheus as the source of usage.

    Raises:
        InputError: none is configured, or a secret cannot be read.
    """
    if config.prometheus.url is None:
        raise InputError("no source of usage is configured", hint="give --prometheus URL or --recording FOLDER")
    from gpuwise.sources.prometheus.usage import PrometheusUsage  # noqa: PLC0415 - httpx takes 0.2 s

    return PrometheusUsage(_prometheus_settings(config), nodes=inventory_settings(config))


def levels(config: Config) -> Levels | None:
    """Return where service levels are measured, None without any.

    Raises:
        InputError: levels are configured, and no Prometheus.
    """
    watched = bool(config.enact.watch.levels) and config.enact.watch.seconds > 0
    if not watched and not (config.enact.nodes and config.prometheus.url is not None):
        return None
    if config.prometheus.url is None:
        raise InputError(
            "enact.watch.levels are measured in Prometheus, and none is configured",
            hint="set prometheus.url, or remove the levels",
        )
    from gpuwise.sources.prometheus.levels import PrometheusLevels  # noqa: PLC0415 - httpx takes 0.2 s

    return PrometheusLevels(_prometheus_settings(config))


def _prometheus_settings(config: Config) -> "PrometheusSettings":
    from gpuwise.sources.prometheus.settings import PrometheusSettings, SecretFile  # noqa: PLC0415 - with the client

    given, url = config.prometheus, config.prometheus.url
    assert url is not None

    def kept(file: Path, key: str) -> SecretFile:
        found = SecretFile(file.resolve(), key)
        found.read()  # a file that cannot be read is reported here, and not by a worker
        return found

    hidden = {name: kept(file, f"prometheus.header_files.{name}") for name, file in given.header_files.items()}
    token, password = given.bearer_token_file, given.password_file
    return PrometheusSettings(
        url,
        bearer_token=kept(token, "prometheus.bearer_token_file") if token else None,
        username=given.username,
        password=kept(password, "prometheus.password_file") if password else None,
        matchers=given.matchers,
        headers={**given.headers, **hidden},
        ca_file=given.ca_file,
        client_cert_file=given.client_cert_file,
        client_key_file=given.client_key_file,
        read=given.read,
        timeout_s=given.timeout_s,
        retry_burst=given.retry_burst,
        retry_ratio=given.retry_ratio,
        longest_wait_s=given.longest_wait_s,
    )


def checkpoints(config: Config, stack: ExitStack) -> Checkpoints | None:
    """Return the store of hours between runs, beside the ledger; None for a recording, which is read as a whole."""
    if config.recording is not None or not config.observe.incremental:
        return None
    from gpuwise.memory.checkpoints import SqliteCheckpoints  # noqa: PLC0415

    # Hours that were counted with other thresholds, or read from another server, must not be used; nor those of
    # versions that did not read the requests of endpoints in steps of SCRAPE_S.
    source = json.dumps([config.prometheus.url, config.observe.step_s, config.score.activity_idle_below, SCRAPE_S])
    return stack.enter_context(SqliteCheckpoints(config.ledger.path.expanduser().with_name("hours.db"), source))


def recorded(config: Config) -> RecordedObjects:
    """Return the inventory of the recording."""
    assert config.recording is not None, "without a recording there is a cluster"
    return RecordedObjects(config.recording / INVENTORY_FILE)


def executor(config: Config, stack: ExitStack) -> Executor:
    """Return the executor of scoring tasks.

    Raises:
        InputError: a secret in the configuration would be sent to the workers of Ray.
        SourceError: the Ray cluster cannot be joined.
    """
    if config.schedule.executor == "ray" and config.recording is None and prometheus(config).settings.holds_secret:
        raise InputError(
            "prometheus.url or prometheus.headers contains a secret, which workers of Ray would get",
            hint="put it in a file: prometheus.password_file, bearer_token_file or header_files",
        )
    return workers(config.schedule, stack)


def workers(given: ScheduleConfig, stack: ExitStack) -> Executor:
    """Return the executor of work that needs no secret.

    Raises:
        SourceError: the Ray cluster cannot be joined.
    """
    if given.executor == "local":
        from gpuwise.schedule.in_process import InProcess  # noqa: PLC0415

        return InProcess()
    from gpuwise.schedule.on_ray import RayExecutor  # noqa: PLC0415

    limits = Limits(item_s=given.item_timeout_s, total_s=given.timeout_s, tries=given.tries)
    return stack.enter_context(RayExecutor(given.ray_address, given.workers, limits=limits, notify=_warn))


def _warn(text: str) -> None:
    sys.stderr.write(f"warning: {text}\n")


def cluster(config: Config, stack: ExitStack) -> KubernetesCluster:
    """Connect to the cluster that is read and written."""
    given = config.kubernetes
    return stack.enter_context(KubernetesCluster.connect(kubeconfig=given.kubeconfig, context=given.context))


def _settings(config: Config) -> LoopSettings:
    if config.observe.step_s <= 0 or HOUR_S % config.observe.step_s:
        raise InputError(
            f"observe.step_s is {config.observe.step_s}, which does not divide an hour",
            hint="set it to a divisor of 3600, such as 60, 300 or 900",
        )
    return LoopSettings(
        cluster_name=config.cluster_name,
        look_back_h=config.observe.look_back_h,
        step_s=config.observe.step_s,
        shard_workloads=config.observe.shard_workloads,
        pass_interval_s=config.service.interval_s,
        score=config.score,
        recommend=config.recommend,
        policy=config.policy,
        nodes=config.enact.nodes,
        finops=finops(config),
    )


def finops(config: Config) -> FinopsSettings:
    """Return the settings of cost.

    Raises:
        InputError: the tags are of a key that no label names.
    """
    for key in config.finops.tags:
        if key not in TAGS:
            raise InputError(f"finops.tags has {key!r}", hint=f"use {', '.join(TAGS)}")
    return config.finops


def _enact_settings(config: Config) -> EnactSettings:
    return EnactSettings(
        dry_run=config.enact.dry_run,
        limits=(Limit(FLEET, config.policy.budget.disruptions, config.policy.budget.per_s),),
        protected_namespaces=frozenset({*config.policy.protected_namespaces, *filter(None, [leading.pod_namespace()])}),
        protections=config.policy.protections,
        default_mode=config.policy.mode,
        stop_namespace=config.lead.namespace or leading.own_namespace(),
        stop_must_be_readable=leading.pod_namespace() is not None,
        watch_s=config.enact.watch.seconds,
        canary_share=config.enact.canary.share,
        canary_s=config.enact.canary.seconds,
        levels=tuple(ServiceLevel(one.name, one.query, one.at_most, one.at_least) for one in config.enact.watch.levels),
        min_alive_s=config.enact.min_alive_s,
        wake_ahead_s=config.enact.wake_ahead_s,
        nodes=config.enact.nodes,
        node_action_s=config.enact.node_action_s,
        node_memory_query=config.enact.node_memory_query,
        mig_configs=config.enact.mig_configs,
    )


def senders(config: Config) -> "Senders":
    """Return what sends a report.

    Raises:
        InputError: no channel is configured, one is not configured completely, or a secret cannot be read.
    """
    from gpuwise.delivery.senders import Senders  # noqa: PLC0415 - httpx takes 0.2 s

    given = config.report
    password = secret(given.email.password_file, "report.email.password_file")
    webhook = secret(given.slack.webhook_url_file, "report.slack.webhook_url_file")
    webhooks = {
        name: secret(one.slack_url_file, f"report.teams.{name}.slack_url_file") for name, one in given.teams.items()
    }
    return Senders.of(given, password=password, webhook=webhook, webhooks=webhooks)


def secret(path: Path | None, key: str) -> str | None:
    """Return the content of a secret's file, None if no file is configured."""
    if path is None:
        return None
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the secret in {path}: {error}", hint=f"check {key}") from error
