"""`gpuwise policy check`."""

from gpuwise.cli.help import command


@command()
def check() -> None:
    """Check."""
