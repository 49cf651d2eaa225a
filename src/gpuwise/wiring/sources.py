"""The sources of usage, prices and service levels, and the hours that are kept of usage."""

import json
import typing
from contextlib import ExitStack
from pathlib import Path

from gpuwise.config import Config
from gpuwise.model.errors import InputError
from gpuwise.model.ports import Checkpoints, Levels, UsageSource
from gpuwise.model.price import PriceBook
from gpuwise.model.usage import SCRAPE_S
from gpuwise.sources.prices import read_prices
from gpuwise.wiring.clock import now
from gpuwise.wiring.clusters import inventory_settings

if typing.TYPE_CHECKING:
    from gpuwise.sources.prometheus.gateways import GatewayUse
    from gpuwise.sources.prometheus.settings import PrometheusSettings
    from gpuwise.sources.prometheus.usage import PrometheusUsage


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

    return GatewayUse(prometheus_settings(config))


def prometheus(config: Config) -> "PrometheusUsage":
    """Return Prometheus as the source of usage.

    Raises:
        InputError: none is configured, or a secret cannot be read.
    """
    if config.prometheus.url is None:
        raise InputError("no source of usage is configured", hint="give --prometheus URL or --recording FOLDER")
    from gpuwise.sources.prometheus.usage import PrometheusUsage  # noqa: PLC0415 - httpx takes 0.2 s

    return PrometheusUsage(prometheus_settings(config), nodes=inventory_settings(config))


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

    return PrometheusLevels(prometheus_settings(config))


def prometheus_settings(config: Config) -> "PrometheusSettings":
    """Return how to reach the Prometheus, which is configured.

    Raises:
        InputError: a secret cannot be read.
    """
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
