"""The options that commands share, and how they become a Config."""

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from gpuwise.cli import console
from gpuwise.config import load
from gpuwise.model.command import Mode

FILE = click.Path(path_type=Path)

_CONNECTION: dict[str, Callable[..., Any]] = {
    "cluster_name": click.option("--cluster-name", help="Name that stands in reports."),
    "prometheus.url": click.option("--prometheus", metavar="URL", help="Read usage from this Prometheus."),
    "prometheus.bearer_token_file": click.option(
        "--prometheus-token-file", type=FILE, help="File that holds its token."
    ),
    "prometheus.read": click.option(
        "--prometheus-read",
        type=click.Choice(["auto", "remote-read", "query-range"]),
        help="By which of its APIs; auto takes remote read where it is offered.",
    ),
    "recording": click.option("--recording", type=FILE, help="Read usage from this folder of Parquet or CSV."),
    "prices": click.option("--prices", type=FILE, help="CSV of prices; list prices ship with gpuwise."),
    "ledger.path": click.option("--ledger", type=FILE, help="SQLite file of what gpuwise remembers."),
    "kubernetes.kubeconfig": click.option(
        "--kubeconfig", type=FILE, help="Cluster to read, and to change where asked to."
    ),
    "kubernetes.context": click.option("--context", help="Context of the kubeconfig."),
}
_SCORING: dict[str, Callable[..., Any]] = {
    "observe.look_back_h": click.option("--look-back-h", type=int, help="Hours to look back."),
    "observe.step_s": click.option("--step", type=int, metavar="SECONDS", help="Length of a step; it holds its peak."),
    "schedule.executor": click.option("--executor", type=click.Choice(["local", "ray"]), help="Where scoring runs."),
    "schedule.ray_address": click.option("--ray-address", help="Join this Ray cluster; implies --executor ray."),
}
_POLICY: dict[str, Callable[..., Any]] = {
    "policy.mode": click.option(
        "--mode", type=click.Choice([mode.value for mode in Mode]), help="For workloads that say nothing themselves."
    ),
    "enact.dry_run": click.option("--dry-run", is_flag=True, default=None, help="Send no mutating request."),
}

_STREAMS = (
    click.option("-q", "--quiet", is_flag=True, help="No progress on stderr."),
    click.option("--no-color", is_flag=True, help="No colour; NO_COLOR in the environment says the same."),
)


def connection(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of where to read; it receives `config`."""
    return _configured(command, _CONNECTION)


def scoring(command: Callable[..., Any]) -> Callable[..., Any]:
    """As `connection`, with the options of scoring."""
    return _configured(command, _CONNECTION | _SCORING)


def replaying(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of scoring what it is handed: no cluster, no Prometheus, no ledger."""
    return _configured(command, {key: _CONNECTION[key] for key in ("cluster_name", "prices")} | _SCORING)


def acting(command: Callable[..., Any]) -> Callable[..., Any]:
    """As `scoring`, with the options of policy."""
    return _configured(command, _CONNECTION | _SCORING | _POLICY)


def _configured(command: Callable[..., Any], options: dict[str, Callable[..., Any]]) -> Callable[..., Any]:
    parameters = {key: _parameter(option) for key, option in options.items()}

    @functools.wraps(command)
    def with_config(*args: Any, config_file: Path | None, quiet: bool, no_color: bool, **values: Any) -> Any:
        console.behave(quiet=quiet, no_color=no_color)
        flags = {key: values.pop(name) for key, name in parameters.items()}
        if flags.get("schedule.ray_address"):
            flags["schedule.executor"] = "ray"
        return command(*args, config=load(_file(config_file), os.environ, flags), **values)

    for option in reversed((*options.values(), *_STREAMS)):
        with_config = option(with_config)
    return click.option("--config", "config_file", type=FILE, help="YAML file; GPUWISE_CONFIG names one, too.")(
        with_config
    )


def _parameter(option: Callable[..., Any]) -> str:
    """The name under which click passes an option on."""

    def probe() -> None: ...

    name = click.command()(option(probe)).params[0].name
    assert name is not None
    return name


def _file(given: Path | None) -> Path | None:
    named = os.environ.get("GPUWISE_CONFIG")
    return given or (Path(named) if named else None)
