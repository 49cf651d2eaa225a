"""Options that several commands share, and the Config that they make."""

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from gpuwise.cli import console
from gpuwise.cli.help import SharedOption
from gpuwise.cli.paths import FILE
from gpuwise.config import at_home, expanded, load
from gpuwise.model.command import Mode
from gpuwise.model.errors import InputError

_shared = functools.partial(click.option, cls=SharedOption)

_CONNECTION: dict[str, Callable[..., Any]] = {
    "cluster_name": _shared("--cluster-name", help="Name of the fleet in reports."),
    "prometheus.url": _shared("--prometheus", metavar="URL", help="Read usage from this Prometheus."),
    "prometheus.bearer_token_file": _shared("--prometheus-token-file", type=FILE, help="File with its bearer token."),
    "prometheus.read": _shared(
        "--prometheus-read",
        type=click.Choice(["auto", "remote-read", "query-range"]),
        help="API to read with; auto uses remote read where the server offers it.",
    ),
    "recording": _shared("--recording", type=FILE, help="Read usage from this folder of Parquet or CSV files."),
    "prices": _shared(
        "--prices",
        type=FILE,
        help="CSV or YAML file of prices.  [default: list prices by region, which ship with gpuwise]",
    ),
    "policy_file": _shared("--policy", type=FILE, help="YAML file of the policy: docs/policy.md."),
    "ledger.path": _shared("--ledger", type=FILE, help="SQLite file of the ledger."),
    "kubernetes.kubeconfig": _shared("--kubeconfig", type=FILE, help="Kubeconfig of the cluster."),
    "kubernetes.context": _shared("--context", help="Context in the kubeconfig."),
}
_SCORING: dict[str, Callable[..., Any]] = {
    "observe.look_back_h": _shared("--look-back-h", type=int, help="Hours of usage to read."),
    "observe.step_s": _shared("--step", type=int, metavar="SECONDS", help="Length of a step."),
    "schedule.executor": _shared("--executor", type=click.Choice(["local", "ray"]), help="Where scoring runs."),
    "schedule.ray_address": _shared("--ray-address", help="Join this Ray cluster; implies --executor ray."),
}
_POLICY: dict[str, Callable[..., Any]] = {
    "policy.mode": click.option(
        "--mode", type=click.Choice([mode.value for mode in Mode]), help="Mode of workloads without a mode label."
    ),
    "lead.enabled": click.option(
        "--leader-elect/--no-leader-elect",
        default=None,
        help="Write only as the leader that a Lease elects."
        "  [default: in a pod, with lead.namespace, or where the Lease exists]",
    ),
    "enact.dry_run": click.option("--dry-run", is_flag=True, default=None, help="Send no mutating request."),
}

_STREAMS = (
    _shared("-q", "--quiet", is_flag=True, help="No progress on stderr."),
    _shared("--no-color", is_flag=True, help="No colour, as with NO_COLOR in the environment."),
)


# Instants with a date: from 1970 to the end of 9998.
_FIRST_S, _LAST_S = 86_400, 253_370_764_799


def _instant(_ctx: click.Context, _param: click.Parameter, value: int | None) -> int | None:
    if value is not None and not _FIRST_S <= value <= _LAST_S:
        raise click.BadParameter(f"{value} is not between 1970 and 9998 in seconds since 1970-01-01 UTC")
    return value


now = click.option(
    "--now",
    "now_s",
    type=int,
    callback=_instant,
    metavar="EPOCH_S",
    help="Evaluate as of this instant instead of now.",
)


def connection(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of the sources to a command, which receives `config`."""
    return _configured(command, _CONNECTION)


def scoring(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of sources and scoring."""
    return _configured(command, _CONNECTION | _SCORING)


def replaying(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of scoring alone: the command needs no cluster, no Prometheus and no ledger."""
    return _configured(command, {key: _CONNECTION[key] for key in ("cluster_name", "prices")} | _SCORING)


def ledger_only(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of the ledger alone: the command needs no cluster and no Prometheus."""
    return _configured(command, {key: _CONNECTION[key] for key in ("cluster_name", "ledger.path")})


def history(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of the ledger and the prices: the command needs no cluster and no Prometheus."""
    return _configured(command, {key: _CONNECTION[key] for key in ("cluster_name", "prices", "ledger.path")})


def acting(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of sources, scoring and policy."""
    return _configured(command, _CONNECTION | _SCORING | _POLICY)


def _configured(command: Callable[..., Any], options: dict[str, Callable[..., Any]]) -> Callable[..., Any]:
    parameters = {key: _parameter(option) for key, option in options.items()}

    @functools.wraps(command)
    def with_config(*args: Any, config_file: Path | None, quiet: bool, no_color: bool, **values: Any) -> Any:
        console.behave(quiet=quiet, no_color=no_color)
        flags = {key: values.pop(name) for key, name in parameters.items()}
        if flags.get("schedule.ray_address"):
            flags["schedule.executor"] = "ray"
        config = at_home(load(_file(config_file), os.environ, flags))
        if flags.get("ledger.path") is not None and config.ledger.url is not None:
            problem = "--ledger names a file, and ledger.url a database, which is then the ledger"
            raise InputError(problem, hint="leave out --ledger, or unset ledger.url (GPUWISE_LEDGER_URL)")
        return command(*args, config=config, **values)

    for option in reversed((*options.values(), *_STREAMS)):
        with_config = option(with_config)
    return _shared("--config", "config_file", type=FILE, help="YAML file.  [default: $GPUWISE_CONFIG]")(with_config)


def _parameter(option: Callable[..., Any]) -> str:
    """The parameter name under which click passes an option."""

    def probe() -> None: ...

    name = click.command()(option(probe)).params[0].name
    assert name is not None
    return name


def _file(given: Path | None) -> Path | None:
    named = os.environ.get("GPUWISE_CONFIG")
    return given or (expanded(Path(named), "GPUWISE_CONFIG") if named else None)
