"""The node exporter, a long-running process; it runs on every GPU node, so it imports nothing heavy."""

from pathlib import Path

import click

from gpuwise.cli.address import address
from gpuwise.cli.help import command
from gpuwise.cli.paths import FILE
from gpuwise.cli.stopping import stopping


@command()
@click.option("--listen", default=":9400", show_default=True, help="Address to listen on, as host:port.")
@click.option(
    "--interval",
    "interval_s",
    type=click.FloatRange(min=0.05),
    default=10.0,
    show_default=True,
    help="Seconds between sweeps over the devices.",
)
@click.option(
    "--backend",
    type=click.Choice(["nvml", "demo"]),
    default="nvml",
    show_default=True,
    help="Read NVML, or simulate a node without GPUs.",
)
@click.option("--nvml-library", type=FILE, help="Load NVML from this file instead of the driver's library.")
@click.option("--pod-resources-socket", type=FILE, help="The kubelet's pod-resources socket.")
@click.option("--host-proc", type=FILE, help="The host's /proc, to map processes to containers.  [default: /proc]")
@click.option(
    "--container-links",
    type=FILE,
    help="The kubelet's directory of container log links.  [default: /var/log/containers]",
)
@click.option("--node", envvar="NODE_NAME", help="Node name for labels.  [default: host name]")
@click.option(
    "--web.config.file",
    "--web-config-file",
    "web_config",
    type=FILE,
    help="TLS and basic authentication, in the format of exporter-toolkit.",
)
@click.option(
    "--compat",
    type=click.Choice(["none", "dcgm"]),
    default="none",
    show_default=True,
    help="Also serve dcgm-exporter's metric names, up to 4.8 and since 4.9.",
)
@click.option(
    "--max-series",
    type=click.IntRange(min=1),
    default=10_000,
    show_default=True,
    help="Maximum number of series of devices and containers; whole metrics beyond it are left out.",
)
def exporter(listen: str, node: str | None, backend: str, compat: str, **given: Path | float | None) -> None:
    """Serve this node's GPU metrics to Prometheus."""
    import socket  # noqa: PLC0415

    from gpuwise.collect.exporter import run_exporter  # noqa: PLC0415 - pynvml, on nodes only
    from gpuwise.collect.settings import Backend, Compat, ExporterSettings  # noqa: PLC0415

    host, port = address(listen)
    stop = stopping()
    chosen = {name: value for name, value in given.items() if value is not None}
    settings = ExporterSettings(
        node=node or socket.gethostname(),
        listen=f"{host}:{port}",
        backend=Backend(backend),
        compat=Compat(compat),
        **chosen,  # type: ignore[arg-type]  # click has converted each option to the type of its setting
    )
    run_exporter(settings, stop)
