"""The configuration: flag over environment over file over default, one frozen dataclass a room.

Every key has one dotted name, `policy.mode`; in a file it is nested YAML, in the environment `GPUWISE_POLICY_MODE`.
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

import yaml
from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError

from gpuwise.decide.settings import DecideSettings
from gpuwise.model.errors import InputError
from gpuwise.recommend.settings import RecommendSettings
from gpuwise.score.settings import ScoreSettings

ENVIRONMENT_PREFIX = "GPUWISE_"
_HIDDEN_KEYS = "prometheus.headers"


def _pairs(value: Any) -> Any:
    """Name=value,Name=value, as it stands in the environment, to a mapping; anything else is left to its type."""
    if not isinstance(value, str):
        return value
    pairs = [pair.strip().partition("=") for pair in value.split(",")]
    if not all(equals for _, equals, _ in pairs):
        raise ValueError("it is not Name=value,Name=value")
    return {name: of for name, _, of in pairs}


@dataclass(frozen=True, slots=True)
class PrometheusConfig:
    """Where usage is read."""

    url: str | None = None
    """Base URL, as http://prometheus.monitoring:9090; None reads the recording instead."""

    read: Literal["auto", "remote-read", "query-range"] = "auto"
    """By which API: auto takes remote read where the server offers it, and range queries elsewhere."""

    bearer_token_file: Path | None = None
    """File that holds the token; the token itself never stands in a configuration."""

    username: str | None = None
    """For basic authentication."""

    password_file: Path | None = None
    """File that holds the password of `username`."""

    matchers: Annotated[dict[str, str], BeforeValidator(_pairs)] = field(default_factory=dict)
    """Labels that every series must have, where the server stores several clusters: {cluster: eu1}. In the environment
    Name=value,Name=value."""

    headers: Annotated[dict[str, str], BeforeValidator(_pairs)] = field(default_factory=dict)
    """Sent with each request, as X-Scope-OrgID; in the environment Name=value,Name=value. `config print` shows them."""

    header_files: Annotated[dict[str, Path], BeforeValidator(_pairs)] = field(default_factory=dict)
    """As `headers`, for secrets: each value is the file that holds the header's."""

    ca_file: Path | None = None
    """Certificates to trust instead of the public ones (or of those that SSL_CERT_FILE names), PEM."""

    client_cert_file: Path | None = None
    """Certificate to show where the server demands one (mutual TLS), PEM."""

    client_key_file: Path | None = None
    """Its key, PEM without a password; None if the certificate's file holds it."""

    timeout_s: float = 30.0
    """Longest wait for one answer, or for the next piece of a streamed one."""

    retry_burst: float = 10.0
    """Retries that one connection may spend at once; each request is tried at most three times."""

    retry_ratio: float = 0.1
    """Retries that each request adds to these, so that an outage is not met with a multiple of the load."""

    longest_wait_s: float = 30.0
    """A server that asks to wait longer than this (Retry-After) is not waited for."""


@dataclass(frozen=True, slots=True)
class KubernetesConfig:
    """Which cluster."""

    kubeconfig: Path | None = None
    """None takes KUBECONFIG, ~/.kube/config or the pod's service account, in this order."""

    context: str | None = None
    """Of the kubeconfig; None takes its current one."""


@dataclass(frozen=True, slots=True)
class ObserveConfig:
    """How far back, how fine."""

    look_back_h: Annotated[int, Field(ge=1, le=87_600)] = 336
    """Two weeks, as KRR and AWS Compute Optimizer: it holds two weekends. It reaches back to a UTC midnight."""

    step_s: int = 300
    """A step holds the highest sample in it, so no burst and no single missed scrape is lost. It divides an hour."""

    shard_workloads: int = 8
    """Workloads that one scoring task reads and scores."""

    incremental: bool = True
    """Keep scored hours beside the ledger (hours.db), so that a run reads what is new; not with a recording."""


@dataclass(frozen=True, slots=True)
class ScheduleConfig:
    """Where scoring runs."""

    executor: Literal["local", "ray"] = "local"
    """In this process, or on Ray."""

    ray_address: str | None = None
    """Of a Ray cluster to join; None starts a local one."""

    workers: int | None = None
    """CPUs of a local Ray; None takes all."""


@dataclass(frozen=True, slots=True)
class EnactConfig:
    """How effects are written."""

    dry_run: bool = False
    """Send no mutating request, yet show the plan."""


@dataclass(frozen=True, slots=True)
class ServiceConfig:
    """The page and the API."""

    listen: str = "127.0.0.1:8080"
    """Beyond loopback a token is demanded."""

    token_file: Path | None = None
    """File that holds the token that readers must bring."""

    interval_s: int = 3_600
    """Seconds between passes of the loop."""

    stall_s: int = 1_800
    """Seconds without a sign of life from the loop after which /healthz fails, so that the pod is restarted."""


@dataclass(frozen=True, slots=True)
class LedgerConfig:
    """What is remembered, where."""

    path: Path = Path("~/.local/state/gpuwise/ledger.db")
    """One SQLite file."""

    anchor_namespace: str | None = None
    """Namespace of the ConfigMap that remembers the ledger's newest row; None takes the pod's own, else gpuwise."""


@dataclass(frozen=True, slots=True)
class Config:
    """Everything gpuwise may be told."""

    cluster_name: str = "cluster"
    """Stands in reports."""

    recording: Path | None = None
    """Folder of a recording; with it neither Prometheus nor (if it holds inventory.json) a cluster is asked."""

    prices: Path | None = None
    """CSV of prices; None takes the list prices that ship with gpuwise."""

    grid: Path | None = None
    """CSV of the carbon of regions' grids (kg_co2e_per_kwh); None takes the figures that ship with gpuwise."""

    prometheus: PrometheusConfig = field(default_factory=PrometheusConfig)
    kubernetes: KubernetesConfig = field(default_factory=KubernetesConfig)
    observe: ObserveConfig = field(default_factory=ObserveConfig)
    score: ScoreSettings = field(default_factory=ScoreSettings)
    recommend: RecommendSettings = field(default_factory=RecommendSettings)
    policy: DecideSettings = field(default_factory=DecideSettings)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    enact: EnactConfig = field(default_factory=EnactConfig)
    service: ServiceConfig = field(default_factory=ServiceConfig)
    ledger: LedgerConfig = field(default_factory=LedgerConfig)


def load(file: Path | None, environment: Mapping[str, str], flags: Mapping[str, Any]) -> Config:
    """Compose the configuration.

    Args:
        file: YAML, or None.
        environment: the process's; names outside our keys are not ours to judge.
        flags: by dotted key; a None was not given.

    Raises:
        InputError: naming the file, variable or flag, the key and the hint.
    """
    tree: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for key, value in _of_file(file).items():
        _plant(tree, origins, key, value, str(file))
    for key in keys():
        name = variable(key)
        if name in environment:
            _plant(tree, origins, key, environment[name], f"environment variable {name}")
    for key, value in flags.items():
        if value is not None:
            _plant(tree, origins, key, value, "the command line")
    return _typed(tree, origins)


def keys(settings: type = Config, prefix: str = "") -> Iterator[str]:
    """Every dotted key there is."""
    for name, kind in _fields(settings).items():
        if dataclasses.is_dataclass(kind):
            yield from keys(typing.cast("type", kind), f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def variable(key: str) -> str:
    """The environment variable of a dotted key."""
    return ENVIRONMENT_PREFIX + key.upper().replace(".", "_")


def _fields(settings: type) -> dict[str, Any]:
    return typing.get_type_hints(settings)


def _of_file(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        tree = yaml.safe_load(file.read_text())
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}", hint="check --config") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        where = " ".join(str(error).split())
        raise InputError(f"{file} is no YAML: {where}", hint="fix the line it names") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise InputError(f"{file} holds no mapping", hint="write `key: value` lines; see docs/configuration.md")
    return dict(_flat(tree, str(file)))


def _flat(tree: dict[Any, Any], file: str, settings: type = Config, prefix: str = "") -> Iterator[tuple[str, Any]]:
    known = _fields(settings)
    for name, value in tree.items():
        key = f"{prefix}{name}"
        if name not in known:
            raise InputError(f"{file}: unknown key {key}", hint=_nearest(key))
        if dataclasses.is_dataclass(known[name]) and isinstance(value, dict):
            yield from _flat(value, file, typing.cast("type", known[name]), f"{key}.")
        elif dataclasses.is_dataclass(known[name]):
            inner = ", ".join(_fields(typing.cast("type", known[name])))
            raise InputError(f"{file}: {key} is a section", hint=f"give its keys: {inner}")
        else:
            yield key, value


def _nearest(key: str) -> str:
    close = difflib.get_close_matches(key, list(keys()), n=1)
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
        problem = f"{origins.get(key, 'the configuration')}: {key} is {shown}: {first['msg'].lower()}"
        raise InputError(problem, hint=f"give it {_wanted(key)}") from error


def at_home(config: Config) -> Config:
    """The configuration with every path's leading ~ replaced by the home folder.

    Raises:
        InputError: there is no such home folder.
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
    """A path with its leading ~, or ~name, replaced by the home folder.

    Args:
        path: as it was written.
        key: where, for the error.

    Raises:
        InputError: there is no such user.
    """
    try:
        return path.expanduser()
    except RuntimeError as error:
        problem = f"{key} is {str(path)!r}, and no home folder is known for it"
        raise InputError(problem, hint="write the whole path") from error


def _wanted(key: str) -> str:
    kind: Any = Config
    for name in key.split("."):
        kind = _fields(kind)[name]
    if typing.get_origin(kind) is types.UnionType:
        kind = next(part for part in typing.get_args(kind) if part is not type(None))
    if typing.get_origin(kind) is Literal:
        return " or ".join(typing.get_args(kind))
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return " or ".join(kind)
    return f"a value of type {getattr(kind, '__name__', str(kind))}"
