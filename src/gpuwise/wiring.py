"""The one place that constructs adapters and puts them into the ports of the loop."""

import json
import time
import typing
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from gpuwise.cluster import KubernetesCluster
from gpuwise.config import Config
from gpuwise.enact.enactor import KubernetesEnactor
from gpuwise.enact.examine import Examiner
from gpuwise.enact.settings import EnactSettings
from gpuwise.manual import ManualActions
from gpuwise.memory.ledger import SqliteLedger
from gpuwise.memory.ledger_anchor import AnchoredLedger, ConfigMapAnchor
from gpuwise.model.errors import InputError
from gpuwise.model.ports import Checkpoints, ClusterWriter, Executor, UsageSource
from gpuwise.pipeline import HOUR_S, LoopSettings, Pipeline, Progress, Watch, quiet, unwatched
from gpuwise.schedule import ray_session
from gpuwise.sources.kubernetes.inventory import KubernetesInventory, RecordedObjects
from gpuwise.sources.prices import read_prices

if typing.TYPE_CHECKING:
    from gpuwise.sources.past import Past

INVENTORY_FILE = "inventory.json"
ANCHOR_NAMESPACE = "gpuwise"
"""Where the ledger's head is remembered outside of a cluster, unless ledger.anchor_namespace says otherwise."""
# Where the kubelet tells a pod its namespace; absent outside a cluster.
_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


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
    at_s: int | None = None,
    watch: Watch = unwatched,
) -> Iterator[Pipeline]:
    """Build the loop, and take it down again.

    Args:
        config: what it is told.
        progress: who is told how far it is.
        writing: whether it may change the cluster; without it there is no enactor at all.
        planning: whether it says what writing would do, and so refuses the ledger that writing refuses.
        at_s: stand still at this instant, epoch seconds; None goes by the clock.
        watch: entered around each step.

    Raises:
        InputError: the configuration names no source of usage, or asks to write to a recording.
        GpuwiseError: an adapter cannot be opened.
    """
    if writing and not changeable(config):
        raise _unchangeable()
    clock: Clock = now if at_s is None else lambda: at_s
    with ExitStack() as stack:
        source = usage(config)
        prices = read_prices(config.prices, config.grid)
        live = cluster(config, stack) if changeable(config) else None
        moves = writing and not config.enact.dry_run
        remembered = ledger(config, stack, live if writing or planning else None, moves=moves)
        yield Pipeline(
            inventory=KubernetesInventory(live or recorded(config)),
            usage=source,
            prices=prices,
            executor=executor(config, stack),
            ledger=remembered,
            settings=_settings(config),
            checkpoints=checkpoints(config, stack),
            enactor=KubernetesEnactor(live, remembered, _enact_settings(config), clock) if live and writing else None,
            checker=Examiner(live, _enact_settings(config), clock) if live else None,
            progress=progress,
            watch=watch,
            clock=None if at_s is not None else clock,
        )


@contextmanager
def looking_back(config: Config, past: "Past") -> Iterator[Pipeline]:
    """Build the loop over a past: it can write nowhere, and its ledger is forgotten with it."""
    with ExitStack() as stack:
        yield Pipeline(
            inventory=past.inventory,
            usage=past.usage,
            prices=read_prices(config.prices, config.grid),
            executor=executor(config, stack),
            ledger=stack.enter_context(SqliteLedger(Path(":memory:"))),
            settings=_settings(config),
        )


@contextmanager
def manual(config: Config, actor: str) -> Iterator[ManualActions]:
    """Build what a person needs to act: no source of usage and no scoring are involved, so undo works without them."""
    if not changeable(config):
        raise _unchangeable()
    with ExitStack() as stack:
        live = cluster(config, stack)
        remembered = ledger(config, stack, live, moves=not config.enact.dry_run)
        yield ManualActions(
            actor, remembered, KubernetesEnactor(live, remembered, _enact_settings(config), now), config.policy, now
        )


def changeable(config: Config) -> bool:
    """Whether there is a cluster behind the inventory; a recording's own inventory is the past."""
    return config.recording is None or config.kubernetes.kubeconfig is not None


def _unchangeable() -> InputError:
    return InputError("a recording cannot be changed", hint="name a cluster with --kubeconfig, or use `gpuwise plan`")


def ledger(
    config: Config, stack: ExitStack, cluster: ClusterWriter | None = None, *, moves: bool = True
) -> SqliteLedger:
    """What is remembered.

    Args:
        config: where.
        stack: closes it.
        cluster: which remembers its head; None for who only looks.
        moves: whether the head is moved, or only compared.
    """
    path = config.ledger.path.expanduser()
    if cluster is None:
        return stack.enter_context(SqliteLedger(path))
    return stack.enter_context(AnchoredLedger(path, anchor(config, cluster), moves=moves))


def anchor(config: Config, cluster: ClusterWriter) -> ConfigMapAnchor:
    """Where the cluster remembers the ledger's head."""
    return ConfigMapAnchor(cluster, config.ledger.anchor_namespace or _own_namespace() or ANCHOR_NAMESPACE)


def usage(config: Config) -> UsageSource:
    """Where usage is read: the recording if one is named, else Prometheus."""
    if config.recording is not None:
        from gpuwise.sources.recording import RecordedUsage  # noqa: PLC0415 - pyarrow takes 0.3 s

        return RecordedUsage(config.recording)
    if config.prometheus.url is None:
        raise InputError("no source of usage is named", hint="give --prometheus URL or --recording FOLDER")
    from gpuwise.sources.prometheus.settings import PrometheusSettings  # noqa: PLC0415 - httpx takes 0.2 s
    from gpuwise.sources.prometheus.usage import PrometheusUsage  # noqa: PLC0415

    told = config.prometheus
    hidden = {name: secret(file, f"prometheus.header_files.{name}") or "" for name, file in told.header_files.items()}
    return PrometheusUsage(
        PrometheusSettings(
            config.prometheus.url,
            bearer_token=secret(told.bearer_token_file, "prometheus.bearer_token_file"),
            username=told.username,
            password=secret(told.password_file, "prometheus.password_file"),
            matchers=told.matchers,
            headers=told.headers | hidden,
            ca_file=told.ca_file,
            client_cert_file=told.client_cert_file,
            client_key_file=told.client_key_file,
            read=told.read,
            timeout_s=told.timeout_s,
            retry_burst=told.retry_burst,
            retry_ratio=told.retry_ratio,
            longest_wait_s=told.longest_wait_s,
        )
    )


def checkpoints(config: Config, stack: ExitStack) -> Checkpoints | None:
    """Where hours are kept between runs, beside the ledger; a recording is read whole."""
    if config.recording is not None or not config.observe.incremental:
        return None
    from gpuwise.memory.checkpoints import SqliteCheckpoints  # noqa: PLC0415

    # Hours counted with other thresholds, or read from elsewhere, are other hours.
    source = json.dumps([config.prometheus.url, config.observe.step_s, config.score.activity_idle_below])
    return stack.enter_context(SqliteCheckpoints(config.ledger.path.expanduser().with_name("hours.db"), source))


def recorded(config: Config) -> RecordedObjects:
    """The recording's own inventory."""
    assert config.recording is not None, "without one there is a cluster"
    return RecordedObjects(config.recording / INVENTORY_FILE)


def executor(config: Config, stack: ExitStack) -> Executor:
    """Where scoring runs."""
    if config.schedule.executor == "local":
        from gpuwise.schedule.in_process import InProcess  # noqa: PLC0415

        return InProcess()
    return stack.enter_context(ray_session.start(config.schedule.ray_address, config.schedule.workers))


def cluster(config: Config, stack: ExitStack) -> KubernetesCluster:
    """The cluster that is read, and written to."""
    told = config.kubernetes
    return stack.enter_context(KubernetesCluster.connect(kubeconfig=told.kubeconfig, context=told.context))


def _settings(config: Config) -> LoopSettings:
    if config.observe.step_s <= 0 or HOUR_S % config.observe.step_s:
        raise InputError(
            f"observe.step_s is {config.observe.step_s}, and an hour is no multiple of that",
            hint="give it a divisor of 3600, such as 60, 300 or 900",
        )
    return LoopSettings(
        cluster_name=config.cluster_name,
        look_back_h=config.observe.look_back_h,
        step_s=config.observe.step_s,
        shard_workloads=config.observe.shard_workloads,
        score=config.score,
        recommend=config.recommend,
        policy=config.policy,
    )


def _enact_settings(config: Config) -> EnactSettings:
    return EnactSettings(
        dry_run=config.enact.dry_run,
        budget_limit=config.policy.budget.disruptions,
        budget_per_s=config.policy.budget.per_s,
        protected_namespaces=frozenset({*config.policy.protected_namespaces, *filter(None, [_own_namespace()])}),
        default_mode=config.policy.mode,
    )


def _own_namespace() -> str | None:
    return _NAMESPACE_FILE.read_text().strip() if _NAMESPACE_FILE.exists() else None


def secret(path: Path | None, key: str) -> str | None:
    """What a file of one secret contains, None if no file is named."""
    if path is None:
        return None
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the secret in {path}: {error}", hint=f"check {key}") from error
