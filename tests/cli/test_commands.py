import re

import click
import pytest
from tests.conftest import REPOSITORY

from gpuwise.cli.commands import COMMANDS, gpuwise

CONTEXT = click.Context(gpuwise)
FOREIGN = {"--query", "--gpu-reset", "--root-dir", "--field-selector", "--request-timeout"}
"""Of nvidia-smi, the kubelet, kubectl and kube-apiserver."""

CHROMIUM = {
    "--disable-background-networking", "--disable-dev-shm-usage", "--disable-extensions", "--disable-gpu", "--headless",
    "--host-resolver-rules", "--no-first-run", "--no-pdf-header-footer", "--no-sandbox", "--print-to-pdf",
    "--user-data-dir",
}  # fmt: skip

TEXTS = [
    *(REPOSITORY / "src").rglob("*.py"),
    *(REPOSITORY / "src").rglob("*.html"),
    *(REPOSITORY / "helm" / "gpuwise").rglob("*.*"),
    *REPOSITORY.glob("*.md"),
    *(REPOSITORY / "docs").glob("*.md"),
]


def flags() -> set[str]:
    found = {"--help", "--version"}
    for name in COMMANDS:
        command = gpuwise.get_command(CONTEXT, name)
        for one in (command, *getattr(command, "commands", {}).values()):
            # exporter-toolkit's flag has dots; what a message names ends before the first.
            options = (option for given in one.params for option in (*given.opts, *given.secondary_opts))
            found |= {option.partition(".")[0] for option in options}
    return found


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_it_is_for(name):
    command = gpuwise.get_command(CONTEXT, name)
    assert command.name == name
    assert command.help.endswith(".")
    assert command.help.startswith(COMMANDS[name][1])


def test_every_flag_that_a_message_names_exists():
    named = {
        flag
        for path in (REPOSITORY / "src").rglob("*.py")
        if "simulate" not in path.parts
        for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]+", path.read_text())
    }
    assert len(named) > 20
    assert named - FOREIGN - CHROMIUM <= flags()


def test_every_command_that_a_text_names_exists():
    named = {word for path in TEXTS for word in re.findall(r"(?:`|-- )gpuwise ([a-z]+)\b", path.read_text())}
    assert len(named) > 8
    assert named <= set(COMMANDS)
