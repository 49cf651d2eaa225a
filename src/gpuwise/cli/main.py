"""The entry point: a group of commands, each imported when it is called, and errors as one line."""

import importlib
import sys
from typing import Any

import click
from rich.text import Text

from gpuwise import __version__
from gpuwise.cli.console import err
from gpuwise.model.errors import GpuwiseError

COMMANDS = {
    "scan": "gpuwise.cli.look",
    "plan": "gpuwise.cli.look",
    "explain": "gpuwise.cli.look",
    "run": "gpuwise.cli.act",
    "apply": "gpuwise.cli.act",
    "undo": "gpuwise.cli.act",
    "dismiss": "gpuwise.cli.act",
    "pause": "gpuwise.cli.act",
    "resume": "gpuwise.cli.act",
    "report": "gpuwise.cli.weekly",
    "serve": "gpuwise.cli.serve",
    "exporter": "gpuwise.cli.serve",
    "doctor": "gpuwise.cli.doctor",
    "config": "gpuwise.cli.settings",
    "demo": "gpuwise.cli.demo",
}


class _Commands(click.Group):
    """Imports a command's module when the command is called: ray, kubernetes and pyarrow take seconds together."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        found: Any = getattr(importlib.import_module(COMMANDS[cmd_name]), cmd_name)
        return found if isinstance(found, click.Command) else None


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, prog_name="gpuwise")
def gpuwise() -> None:
    """Find the GPU money that a Kubernetes fleet burns for nothing, and mend it safely."""


def main() -> None:
    """Run the command line; a user's mistake ends in one line and exit code 1."""
    try:
        code = gpuwise(standalone_mode=False)  # click hands the code of context.exit back instead of exiting
        sys.exit(code if isinstance(code, int) else 0)
    except GpuwiseError as error:
        _fail(str(error))
    except (click.Abort, KeyboardInterrupt):
        _fail("stopped; nothing more was done")
    except click.ClickException as error:
        _fail(f"{error.format_message()}; `gpuwise {_command()}--help` lists what it takes")


def _command() -> str:
    return f"{sys.argv[1]} " if len(sys.argv) > 1 and sys.argv[1] in COMMANDS else ""


def _fail(problem: str) -> None:
    err.print(Text.assemble(("error: ", "bold red"), " ".join(problem.split())), soft_wrap=True)
    sys.exit(1)
