"""The configuration: flags override the environment, which overrides the file, which overrides the defaults.

There is one frozen dataclass per section. Every key has one dotted name, such as `policy.mode`: nested YAML in a file,
`GPUWISE_POLICY_MODE` in the environment.
"""

import dataclasses
import difflib
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError

from gpuwise.config_text import parsed
from gpuwise.decide.settings import DecideSettings
from gpuwise.delivery.settings import ReportSettings
from gpuwise.finops.settings import FinopsSettings
from gpuwise.lead.settings import LeadSettings
from gpuwise.model.codec import pairs
from gpuwise.model.errors import InputError
from gpuwise.model.inventory import CapacityType
from gpuwise.model.pricing import PricingSettings
from gpuwise.recommend.settings import RecommendSettings
from gpuwise.score.settings import ScoreSettings

ENVIRONMENT_PREFIX = "GPUWISE_"
_HIDDEN_KEYS = "prometheus.headers"
_POLICY = "policy."


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


def load(file: Path | None, environment: Mapping[str, str], flags: Mapping[str, Any]) -> Config:
    """Load the configuration from file, environment and flags.

    Args:
        file: YAML file, or None.
        environment: environment variables; unknown names are ignored.
        flags: values by dotted key; None means that the flag was not given.

    Raises:
        InputError: a value is not valid; the error names the file, variable or flag, the key and the hint.
    """
    tree: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for key, value in _of_file(file).items():
        _plant(tree, origins, key, value, str(file))
    policy = _policy_file(flags.get("policy_file"), environment.get(variable("policy_file")), tree.get("policy_file"))
    if policy is not None:
        _only_one_policy(origins, file, policy)
        for key, value in _of_file(policy, DecideSettings, "--policy or policy_file").items():
            _plant(tree, origins, f"{_POLICY}{key}", value, str(policy))
    for key, kind in _kinds().items():
        name = variable(key)
        if name in environment:
            _plant(tree, origins, key, _of_text(environment[name], kind, name), f"environment variable {name}")
    for key, value in flags.items():
        if value is not None:
            _plant(tree, origins, key, value, "the command line")
    return _typed(tree, origins)


def _policy_file(*given: Any) -> Path | None:
    """Return the first path that is given, None without one. A value of another type is an error of its key."""
    found = next((one for one in given if isinstance(one, str | Path) and str(one)), None)
    return None if found is None else expanded(Path(found), "policy_file")


def _only_one_policy(origins: Mapping[str, str], file: Path | None, policy: Path) -> None:
    key = next((key for key in origins if key.startswith(_POLICY)), None)
    if key is not None:
        problem = f"{file} has {key}, and the policy is in {policy}"
        raise InputError(problem, hint=f"move the section `policy` of {file} to {policy}, or do not name the file")


def keys() -> Iterator[str]:
    """Yield all dotted keys."""
    yield from _kinds()


def _kinds(settings: type = Config, prefix: str = "") -> dict[str, Any]:
    """Return the type of the value of each dotted key."""
    found: dict[str, Any] = {}
    for name, kind in _fields(settings).items():
        if dataclasses.is_dataclass(kind):
            found |= _kinds(typing.cast("type", kind), f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = kind
    return found


def _of_text(text: str, kind: Any, name: str) -> Any:
    """Return the value of an environment variable: YAML or JSON for lists and tables, else the text itself."""
    if typing.get_origin(kind) not in (tuple, dict, Mapping) or not text.lstrip().startswith(("[", "{", "- ")):
        listed = typing.get_origin(kind) is tuple and typing.get_args(kind)[0] is str
        return [one.strip() for one in text.split(",") if one.strip()] if listed else text
    hint = "write it as in the file, on one line: [{KEY: VALUE}]"
    return parsed(text, f"environment variable {name}", hint=hint, form="JSON or YAML")


def variable(key: str) -> str:
    """Return the environment variable of a dotted key."""
    return ENVIRONMENT_PREFIX + key.upper().replace(".", "_")


def _fields(settings: type) -> dict[str, Any]:
    return typing.get_type_hints(settings)


def _of_file(file: Path | None, settings: type = Config, flag: str = "--config") -> dict[str, Any]:
    if file is None:
        return {}
    try:
        text = file.read_text()
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}", hint=f"check {flag}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not valid YAML: {error}", hint="save it as UTF-8") from error
    tree = parsed(text, str(file), hint="fix the line that the message names")
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise InputError(f"{file} is not a mapping", hint="write `key: value` lines; see docs/configuration.md")
    if settings is DecideSettings and isinstance(tree.get("policy"), dict):
        raise InputError(f"{file} is a configuration, not a policy", hint="use --config, or keep its section `policy`")
    return dict(_flat(tree, str(file), settings))


def _flat(tree: dict[Any, Any], file: str, settings: type = Config, prefix: str = "") -> Iterator[tuple[str, Any]]:
    known = _fields(settings)
    for name, value in tree.items():
        key = f"{prefix}{name}"
        if name not in known:
            raise InputError(f"{file}: unknown key {key}", hint=_nearest(key, settings))
        if dataclasses.is_dataclass(known[name]) and isinstance(value, dict):
            yield from _flat(value, file, typing.cast("type", known[name]), f"{key}.")
        elif isinstance(value, bool) and _is_number(known[name]):  # no, off, yes of YAML 1.1 would count as 0 or 1
            problem = f"{file}: {key} is {value}: it is not a number"
            raise InputError(problem, hint="write a number; YAML reads yes, no, on and off as truth values")
        elif dataclasses.is_dataclass(known[name]):
            inner = ", ".join(_fields(typing.cast("type", known[name])))
            raise InputError(f"{file}: {key} is a section, not a value", hint=f"set its keys: {inner}")
        else:
            yield key, value


def _is_number(kind: Any) -> bool:
    """Whether values of a type are numbers, or numbers and nothing."""
    return kind in (int, float) or any(one in (int, float) for one in typing.get_args(kind))


def _nearest(key: str, settings: type) -> str:
    known = list(keys())
    if settings is DecideSettings:
        known += [one.removeprefix(_POLICY) for one in known if one.startswith(_POLICY)]
    close = difflib.get_close_matches(key, known, n=1)
    return f"did you mean {close[0]}?" if close else "`gpuwise config print` lists every key"


def _plant(tree: dict[str, Any], origins: dict[str, str], key: str, value: Any, origin: str) -> None:
    *path, last = key.split(".")
    for name in path:
        tree = tree.setdefault(name, {})
    tree[last] = value
    origins[key] = origin


def _typed(tree: dict[str, Any], origins: Mapping[str, str]) -> Config:
    try:
        return TypeAdapter(Config).validate_python(tree)
    except ValidationError as error:
        first = error.errors()[0]
        key = next(
            (k for k in origins if ".".join(map(str, first["loc"])).startswith(k)), ".".join(map(str, first["loc"]))
        )
        shown = "not shown" if key.startswith(_HIDDEN_KEYS) else repr(first["input"])
        where, origin = ".".join(map(str, first["loc"])), origins.get(key, "the configuration")
        # The keys of a policy file are those of the section.
        shown_where = where.removeprefix(_POLICY) if origin == str(tree.get("policy_file")) else where
        message = first["msg"].removeprefix("Value error, ")
        hint = f"give it {_wanted(key)}" if where == key else f"docs/{_page(key)} describes {key}{_form(key)}"
        if first["type"] == "unexpected_keyword_argument":
            raise InputError(f"{origin}: unknown key {shown_where}", hint=hint) from error
        if first["type"] == "value_error" and not isinstance(first["input"], str):  # it says what is wrong, and where
            raise InputError(
                f"{origin}: {shown_where}: {message}", hint=f"docs/{_page(key)} describes {key}"
            ) from error
        if first["type"] == "dataclass_type":
            message = "it must be a table"
        raise InputError(
            f"{origin}: {shown_where} is {shown}: {message[:1].lower()}{message[1:]}", hint=hint
        ) from error


def _page(key: str) -> str:
    return "policy.md" if key.startswith(_POLICY) else "configuration.md"


def at_home(config: Config) -> Config:
    """Return the configuration with the leading ~ of every path replaced by the home folder.

    Raises:
        InputError: the home folder is unknown.
    """
    return typing.cast("Config", _at_home(config))


def _at_home(settings: Any, prefix: str = "") -> Any:
    changed: dict[str, Any] = {}
    for field_ in dataclasses.fields(settings):
        value, key = getattr(settings, field_.name), f"{prefix}{field_.name}"
        if dataclasses.is_dataclass(value):
            changed[field_.name] = _at_home(value, f"{key}.")
        elif isinstance(value, Path):
            changed[field_.name] = expanded(value, key)
        elif isinstance(value, dict) and any(isinstance(one, Path) for one in value.values()):
            changed[field_.name] = {name: expanded(one, key) for name, one in value.items()}
    return dataclasses.replace(settings, **changed)


def expanded(path: Path, key: str) -> Path:
    """Return a path with its leading ~ or ~name replaced by the home folder.

    Args:
        path: path as configured.
        key: configuration key, for the error.

    Raises:
        InputError: the user is unknown.
    """
    try:
        return path.expanduser()
    except RuntimeError as error:
        problem = f"{key} is {str(path)!r}, but its home folder is unknown"
        raise InputError(problem, hint="write the full path") from error


def _form(key: str) -> str:
    """How a table of tables is written, "" for another key."""
    kind = _kinds().get(key)
    inner = typing.get_args(kind)[-1] if typing.get_origin(kind) in (Mapping, dict) else None
    if not dataclasses.is_dataclass(inner):
        return ""
    names = ", ".join(f"{name}: VALUE" for name in _fields(typing.cast("type", inner)))
    return f"; in the file: {key}: {{NAME: {{{names}}}}}"


def _wanted(key: str) -> str:
    kind: Any = Config
    for name in key.split("."):
        kind = _fields(kind)[name]
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        kind = next(part for part in typing.get_args(kind) if part is not type(None))
    if typing.get_origin(kind) is Literal:
        return " or ".join(typing.get_args(kind))
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return " or ".join(kind)
    if typing.get_origin(kind) is tuple:
        return f"a list, in the file: {key}: [VALUE, ...]; in the environment JSON or YAML on one line"
    if typing.get_origin(kind) in (Mapping, dict):
        inner = typing.get_args(kind)[1]
        if dataclasses.is_dataclass(inner):
            return f"a table, in the file: {key}: {{NAME: {{KEY: VALUE}}}}; in the environment JSON or YAML on one line"
        many = typing.get_origin(inner) is tuple
        return f"names and values, in the file: {key}: {{NAME: {'[VALUE, VALUE]' if many else 'VALUE'}}}"
    return f"a value of type {getattr(kind, '__name__', str(kind))}"
