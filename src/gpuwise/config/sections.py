"""The sections of the configuration: one frozen dataclass each, with the defaults."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from gpuwise.decide.settings import DecideSettings
from gpuwise.delivery.settings import ReportSettings
from gpuwise.finops.settings import FinopsSettings
from gpuwise.lead.settings import LeadSettings
from gpuwise.model.codec import pairs
from gpuwise.model.inventory import CapacityType
from gpuwise.model.pricing import PricingSettings
from gpuwise.recommend.settings import RecommendSettings
from gpuwise.score.settings import ScoreSettings


@dataclass(frozen=True, slots=True)
class PrometheusConfig:
    """The Prometheus server from which usage is read."""

    url: str | None = None
    """Base URL, such as http://prometheus.monitoring:9090; None reads the recording instead."""

    read: Literal["auto", "remote-read", "query-range"] = "auto"
    """API to use: auto uses remote read if the server offers it, else range queries."""

    bearer_token_file: Path | None = None
    """File with the bearer token. The token itself is never part of the configuration."""

    username: str | None = None
    """User for basic authentication."""

    password_file: Path | None = None
    """File with the password of `username`."""

    matchers: Annotated[dict[str, str], BeforeValidator(pairs)] = field(default_factory=dict)
    """Labels that every series must have, where the server stores several clusters: {cluster: eu1}. In the environment
    Name=value,Name=value."""

    headers: Annotated[dict[str, str], BeforeValidator(pairs)] = field(default_factory=dict)
    """Headers of each request, such as X-Scope-OrgID; in the environment Name=value,... `config print` shows them."""

    header_files: Annotated[dict[str, Path], BeforeValidator(pairs)] = field(default_factory=dict)
    """Like `headers`, for secrets: each value is a file with the header's value."""

    ca_file: Path | None = None
    """CA certificates to trust instead of the public ones (or those in SSL_CERT_FILE), PEM."""

    client_cert_file: Path | None = None
    """Client certificate for servers that require one (mutual TLS), PEM."""

    client_key_file: Path | None = None
    """Key of the client certificate, PEM without a password; None if it is in the certificate's file."""

    timeout_s: float = 30.0
    """Timeout for one response, or for the next piece of a streamed response, in seconds."""

    retry_burst: float = 10.0
    """Retries that one client may use at once. Each request is tried at most three times."""

    retry_ratio: float = 0.1
    """Retries that each request adds. This limits the load of retries during an outage."""

    longest_wait_s: float = 30.0
    """A request is not retried if the server's Retry-After is longer than this, in seconds."""


@dataclass(frozen=True, slots=True)
class KubernetesConfig:
    """The Kubernetes cluster."""

    kubeconfig: Path | None = None
    """Kubeconfig file; None uses KUBECONFIG, ~/.kube/config or the pod's service account, in this order."""

    context: str | None = None
    """Context of the kubeconfig; None uses its current context."""

    gpu_resources: tuple[str, ...] = ()
    """Further extended resources that count NVIDIA GPUs, as the device plugin's configuration renames them."""

    capacity_labels: Annotated[dict[str, CapacityType], BeforeValidator(pairs)] = field(default_factory=dict)
    """Capacity types by node label, as {"example.com/pool:cheap": spot}. In the environment Name=value,Name=value."""


@dataclass(frozen=True, slots=True)
class ObserveConfig:
    """Window, resolution and scope of the usage that is read."""

    look_back_h: Annotated[int, Field(ge=1, le=87_600)] = 336
    """Window in hours, from a UTC midnight on: two weeks with two weekends, as in KRR and AWS Compute Optimizer."""

    step_s: int = 300
    """Length of a step in seconds; it must divide an hour. A step has its highest sample, so no burst is lost."""

    shard_workloads: int = 16
    """Number of workloads that one scoring task reads and scores."""

    incremental: bool = True
    """Store scored hours beside the ledger (hours.db), so that a run reads only new samples; not with a recording."""


@dataclass(frozen=True, slots=True)
class ScheduleConfig:
    """Where scoring runs."""

    executor: Literal["local", "ray"] = "local"
    """Score in this process, or on Ray."""

    ray_address: str | None = None
    """Address of a Ray cluster; None starts a local one."""

    workers: int | None = None
    """CPUs of a local Ray; None uses all."""

    item_timeout_s: Annotated[float, Field(gt=0)] = 600.0
    """Longest time for one shard on one node of Ray, in seconds; then it is cancelled and tried elsewhere."""

    timeout_s: Annotated[float, Field(gt=0)] = 7_200.0
    """Longest time for scoring a fleet on Ray, in seconds."""

    tries: Annotated[int, Field(ge=1)] = 3
    """How often a shard is tried on Ray, each time on another node if there is one."""


@dataclass(frozen=True, slots=True)
class LevelConfig:
    """A number that must stay within bounds while an effect is watched."""

    name: Annotated[str, Field(min_length=1)]
    """What it measures, for messages."""

    query: Annotated[str, Field(min_length=1)]
    """PromQL that yields one number; $namespace, $name and $kind stand for the changed workload."""

    at_most: float | None = None
    """Upper bound; without a value there is none."""

    at_least: float | None = None
    """Lower bound; without a value there is none."""


@dataclass(frozen=True, slots=True)
class WatchConfig:
    """How an effect is checked after it was written."""

    seconds: Annotated[int, Field(ge=0)] = 600
    """How long pods and service levels are checked. What fails its check, or cannot be measured until the end, is
    restored. Without service levels the check ends as soon as the pods are as the change requires. 0 checks the object
    alone."""

    levels: tuple[LevelConfig, ...] = ()
    """Service levels that must hold; they need prometheus.url."""


@dataclass(frozen=True, slots=True)
class CanaryConfig:
    """The share of a workload's pods on which a resize or a move to spot is checked first."""

    share: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Share of the pods, rounded up; 0 changes all at once, by the workload's own strategy. Until they are checked,
    gpuwise also changes how the workload rolls out: `partition` of a StatefulSet; `minReadySeconds`,
    `progressDeadlineSeconds`, `maxSurge` and `maxUnavailable` of a Deployment."""

    seconds: Annotated[int, Field(ge=1)] = 600
    """How long these pods and the service levels are checked before the others follow; it must exceed the longest cold
    start. Then `enact.watch.seconds` begins."""


@dataclass(frozen=True, slots=True)
class EnactConfig:
    """How changes are written to the cluster."""

    dry_run: bool = False
    """Show the plan, but send no request that changes something."""

    watch: WatchConfig = field(default_factory=WatchConfig)
    """How an effect is checked after it was written."""

    canary: CanaryConfig = field(default_factory=CanaryConfig)
    """The share of the pods that is changed first."""

    min_alive_s: Annotated[int, Field(ge=0)] = 3_600
    """Seconds for which pods must have been ready before automation stops them; it must exceed the longest cold start,
    or a workload is stopped again before it was of use."""

    wake_ahead_s: Annotated[int, Field(ge=0)] | None = None
    """Seconds before the forecast next use at which a stopped workload is started again; without a value it is started
    by people, by its autoscaler, or by `gpuwise wake`."""

    nodes: bool = False
    """Whether nodes are cordoned and drained, and their MIG layout is changed; without it, that is advice."""

    node_action_s: Annotated[int, Field(ge=60)] = 3_600
    """Seconds that an action on a node may take before the node is uncordoned."""

    node_memory_query: str = 'sum(gpuwise_gpu_memory_used_bytes{node="$node"})'
    """PromQL for the GPU memory in use on $node, in bytes: a node is empty only if it is 0."""

    mig_configs: dict[str, str] = field(default_factory=dict)
    """Names of the MIG manager's configurations by layout of the whole node, as {"1g.10gb:7,3g.40gb:2": one-mixed}."""


@dataclass(frozen=True, slots=True)
class ServiceConfig:
    """The page and the API."""

    listen: str = "127.0.0.1:8080"
    """Address and port to listen on. Addresses other than loopback require a token."""

    token_file: Path | None = None
    """File with the token that clients must send."""

    interval_s: Annotated[int, Field(ge=1)] = 3_600
    """Seconds between the passes of the loop. A job with a deadline is planned for this time, also by `gpuwise scan`,
    `plan` and `apply`."""

    alert_interval_s: int = 300
    """Least seconds from the start of one pass to the start of a pass that an alert asks for."""

    stall_s: int = 1_800
    """Seconds without progress of the loop after which /healthz fails, so that the kubelet restarts the pod."""


@dataclass(frozen=True, slots=True)
class LedgerConfig:
    """The ledger of runs, actions and directives."""

    path: Path = Path("~/.local/state/gpuwise/ledger.db")
    """SQLite file of the ledger. The scored hours (hours.db) are stored beside it, also if `url` is set."""

    url: str | None = None
    """PostgreSQL database of the ledger instead of the file, without a password, such as
    postgresql+psycopg://gpuwise@db:5432/gpuwise?sslmode=verify-full. Several replicas of gpuwise need it."""

    password_file: Path | None = None
    """File with the password of `url`; None uses what libpq finds, such as ~/.pgpass."""

    anchor_namespace: str | None = None
    """Namespace of the ConfigMap with the ledger's newest row; None uses the pod's namespace, else gpuwise."""


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration of gpuwise."""

    cluster_name: str = "cluster"
    """Name of the cluster in reports."""

    recording: Path | None = None
    """Folder of a recording. It replaces Prometheus and, if it contains inventory.json, the cluster."""

    prices: Path | None = None
    """CSV or YAML file of prices (docs/prices.md); None uses the list prices shipped with gpuwise."""

    grid: Path | None = None
    """CSV file of the carbon intensity of regions' grids (kg_co2e_per_kwh); None uses the file shipped with gpuwise."""

    rates: Path | None = None
    """CSV file of exchange rates (currency, rate in US dollars, date) for prices in other currencies."""

    policy_file: Path | None = None
    """YAML file with the keys of the section `policy` (docs/policy.md), instead of that section."""

    prometheus: PrometheusConfig = field(default_factory=PrometheusConfig)
    kubernetes: KubernetesConfig = field(default_factory=KubernetesConfig)
    observe: ObserveConfig = field(default_factory=ObserveConfig)
    score: ScoreSettings = field(default_factory=ScoreSettings)
    recommend: RecommendSettings = field(default_factory=RecommendSettings)
    policy: DecideSettings = field(default_factory=DecideSettings)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    enact: EnactConfig = field(default_factory=EnactConfig)
    lead: LeadSettings = field(default_factory=LeadSettings)
    service: ServiceConfig = field(default_factory=ServiceConfig)
    pricing: PricingSettings = field(default_factory=PricingSettings)
    ledger: LedgerConfig = field(default_factory=LedgerConfig)
    finops: FinopsSettings = field(default_factory=FinopsSettings)
    report: ReportSettings = field(default_factory=ReportSettings)
