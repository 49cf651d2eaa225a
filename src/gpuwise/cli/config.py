"""`gpuwise config`: the configuration in force."""

import os
import re

import click
import yaml

from gpuwise.cli.help import group
from gpuwise.cli.options import acting
from gpuwise.cli.show import print_raw
from gpuwise.config import Config, keys, variable
from gpuwise.model.codec import to_plain

_PASSWORD = re.compile(r"(?<=://)([^/@:]*:)[^/]*(@)|(password=)[^&]*")


@group()
def config() -> None:
    """Show the configuration."""


@config.command("print")
@acting
@click.option(
    "--effective",
    is_flag=True,
    help="The configuration in force: flags, environment, file and defaults (default).",
)
@click.option("--environment", is_flag=True, help="List the environment variable of each key instead.")
def print_config(config: Config, effective: bool, environment: bool) -> None:  # noqa: ARG001, FBT001 - click
    """Print the configuration in force as YAML for --config."""
    if environment:
        lines = (f"{variable(key)}{'  # set' if variable(key) in os.environ else ''}" for key in keys())
        print_raw("\n".join(lines))
        return
    shown = to_plain(config)
    if config.policy_file is not None:  # both at once would be an error of the printed file
        print_raw(f"# policy: from {config.policy_file}, the environment and the flags")
        shown["policy_file"] = None
    for section in ("prometheus", "ledger"):
        shown[section]["url"] = _without_password(shown[section]["url"])
    print_raw(yaml.safe_dump(shown, sort_keys=False))


def _without_password(url: str | None) -> str | None:
    """Hide the password of a URL: the output is often part of a bug report."""
    return None if url is None else _PASSWORD.sub(r"\1\3***\2", url)
