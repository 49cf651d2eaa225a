"""The node exporter, which stays; nothing heavy is imported, for it runs on every GPU node."""

from pathlib import Path

import click

from gpuwise.cli.address import address
from gpuwise.cli.console import stopping
from gpuwise.cli.help import command
from gpuwise.cli.paths import FILE


@command()
@click.option("--listen", default=":9400", show_default=True, help="Host and port.")
@click.option(
    "--interval",
    "interval_s",
    type=click.FloatRange(min=0.05),
    default=10.0,
    show_default=True,
    help="Seconds between samples.",
)
@click.option(
    "--backend",
    type=click.Choice(["nvml", "demo"]),
    default="nvml",
    show_default=True,
    help="Read NVML, or play a synthetic node that needs no GPU.",
)
@click.option("--nvml-library", type=FILE, help="Load NVML from this file instead of the driver's place.")
@click.option("--pod-resources-socket", type=FILE, help="Where the kubelet tells which pod has which GPU.")
@click.option("--host-proc", type=FILE, help="The host's /proc: whose a process on a shared GPU is.  [default: /proc]")
@click.option(
    "--container-links",
    type=FILE,
    help="Folder of the kubelet's links to logs, whose names tell containers.  [default: /var/log/containers]",
)
@click.option("--node", envvar="NODE_NAME", help="Node name for labels.  [default: the host's]")
@click.option(
    "--web.config.file",
    "--web-config-file",
    "web_config",
    type=FILE,
    help="TLS and basic authentication, in exporter-toolkit's form.",
)
@click.option(
    "--compat",
    type=click.Choice(["none", "dcgm"]),
    default="none",
    show_default=True,
    help="Serve dcgm-exporter's names beside ours, those up to 4.8 and those since 4.9.",
)
@click.option(
    "--max-series",
    type=click.IntRange(min=1),
    default=10_000,
    show_default=True,
    help="Most series of devices and containers; what is beyond is left out, whole metrics at a time.",
)
def exporter(listen: str, node: str | None, backend: str, compat: str, **given: Path | float | None) -> None:
    """Serve this node's GPU metrics to Prometheus."""
    import socket  # noqa: PLC0415

    from gpuwise.collect.exporter import run_exporter  # noqa: PLC0415 - grpc and pynvml, on nodes only
    from gpuwise.collect.settings import Backend, Compat, ExporterSettings  # noqa: PLC0415

    host, port = address(listen)
    stop = stopping()
    chosen = {name: value for name, value in given.items() if value is not None}
    settings = ExporterSettings(
        node=node or socket.gethostname(),
        listen=f"{host}:{port}",
        backend=Backend(backend),
        compat=Compat(compat),
        **chosen,  # type: ignore[arg-type]  # click has made each what its setting is
    )
    run_exporter(settings, stop)
