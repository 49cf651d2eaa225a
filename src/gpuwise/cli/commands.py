"""The group of commands, each imported when it is called."""

import importlib
import sys
from collections.abc import Callable
from typing import Any

import click

from gpuwise import __version__
from gpuwise.cli.help import HELP_NAMES, Group
from gpuwise.model.errors import GpuwiseError

COMMANDS = {
    "scan": ("gpuwise.cli.scan", "Find idle GPUs, what they cost, and what to do about them."),
    "plan": ("gpuwise.cli.plan", "Show what `gpuwise run` would do, and what blocks the rest."),
    "explain": ("gpuwise.cli.explain", "Explain a recommendation (r-...) or why nothing is done about a workload"),
    "run": ("gpuwise.cli.run", "Observe, score, recommend, decide, enact, record: the loop, as policy allows."),
    "apply": ("gpuwise.cli.apply", "Carry out one recommendation; safety gates hold for people, too."),
    "undo": ("gpuwise.cli.undo", "Restore exactly what a command (a-...) changed, unless somebody changed it since."),
    "dismiss": ("gpuwise.cli.directives", "Never do this; it stays in reports as dismissed."),
    "pause": ("gpuwise.cli.directives", "Stop all effects from the next decision on, people's included, until resume."),
    "resume": ("gpuwise.cli.directives", "End a pause."),
    "report": ("gpuwise.cli.report", "Report one week: the bill, who wasted what, what to do, what was done."),
    "serve": ("gpuwise.cli.serve", "Serve the page, the API and gpuwise's own metrics"),
    "exporter": ("gpuwise.cli.exporter", "Serve this node's GPU metrics to Prometheus."),
    "replay": ("gpuwise.cli.replay", "Replay a recording or a trace: what gpuwise would have said, and when."),
    "backtest": ("gpuwise.cli.backtest", "Replay a policy on a recorded trace, beside its baselines."),
    "doctor": ("gpuwise.cli.doctor", "Check prices, ledger, source of usage, cluster and rights; say what to do."),
    "config": ("gpuwise.cli.config", "Show the configuration."),
    "demo": ("gpuwise.cli.demo", "Simulate a fleet of 320 GPUs, find its waste"),
}
"""Each command's module and what the list of commands says of it, the beginning of its own help."""


class _Commands(Group):
    """Imports a command's module when the command is called: ray, kubernetes and pyarrow take seconds together."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _ = COMMANDS[cmd_name]
        found: Any = getattr(importlib.import_module(module), cmd_name)
        return found if isinstance(found, click.Command) else None

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.command(cls=_Commands, context_settings=HELP_NAMES)
@click.version_option(__version__, prog_name="gpuwise")
def gpuwise() -> None:
    """Find the GPU money that a Kubernetes fleet burns for nothing, and fix it safely."""


def run(failed: Callable[[str], int]) -> int:
    """Run the command line.

    Args:
        failed: tells the user of an error, and gives the exit code.
    """
    try:
        code = gpuwise(standalone_mode=False)  # click hands the code of context.exit back instead of exiting
    except GpuwiseError as error:
        return failed(str(error))
    except click.Abort:
        return failed("stopped; nothing more was done")
    except click.ClickException as error:
        said = error.format_message().rstrip(".")
        return failed(f"{said}; `gpuwise {_command()}--help` lists what it takes")
    return code if isinstance(code, int) else 0


def _command() -> str:
    return f"{sys.argv[1]} " if len(sys.argv) > 1 and sys.argv[1] in COMMANDS else ""
