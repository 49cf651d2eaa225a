"""The commands; the module of a command is imported when the command runs."""

import importlib
import sys
from collections.abc import Callable
from typing import Any

import click

from gpuwise import __version__
from gpuwise.cli.help import HELP_NAMES, Group
from gpuwise.cli.installed import missing
from gpuwise.model.errors import GpuwiseError

COMMANDS = {
    "scan": ("gpuwise.cli.scan", "Find idle GPUs, their cost, and what to do about them."),
    "plan": ("gpuwise.cli.plan", "Show what `gpuwise run` would do, and what blocks the rest."),
    "explain": (
        "gpuwise.cli.explain",
        "Explain a recommendation (r-...), or why a workload has none.",
    ),
    "run": ("gpuwise.cli.run", "Run the loop: observe, score, recommend, decide, enact, record, as policy allows."),
    "apply": ("gpuwise.cli.apply", "Carry out one recommendation; safety checks apply to people, too."),
    "undo": ("gpuwise.cli.undo", "Restore exactly what an action (a-...) changed, unless somebody changed it since."),
    "patch": ("gpuwise.cli.patch", "Print a change as a patch ready to commit, for fields that other tools own."),
    "wake": ("gpuwise.cli.wake", "Start a stopped workload again, from its own annotation: nothing else is needed."),
    "approve": (
        "gpuwise.cli.directives",
        "Agree to a recommendation: automation carries it out when enough people have, as policy allows.",
    ),
    "dismiss": ("gpuwise.cli.directives", "Never carry out this recommendation; reports show it as dismissed."),
    "pause": ("gpuwise.cli.directives", "Stop all effects, including those of people, until `gpuwise resume`."),
    "resume": ("gpuwise.cli.directives", "End a pause."),
    "ledger": ("gpuwise.cli.ledger", "Verify the ledger, or show it as an audit trail."),
    "cost": (
        "gpuwise.cli.cost",
        "Show the cost by team, project, model or another key; it sums to the bill.",
    ),
    "energy": ("gpuwise.cli.energy", "Show measured energy and its carbon by team, project or another key."),
    "units": (
        "gpuwise.cli.units",
        "Show cost, energy and return per request, unit of work and successful run, and models that never served.",
    ),
    "kpis": (
        "gpuwise.cli.kpis",
        "Show the KPIs of FinOps for AI: utilisation, idle and unallocated share, coverage, realised savings.",
    ),
    "budget": ("gpuwise.cli.budget", "Compare the budgets in finops.budgets with the month's cost and its forecast."),
    "anomalies": (
        "gpuwise.cli.anomalies",
        "Find lasting steps in the daily cost of teams or others, and their cause.",
    ),
    "tags": ("gpuwise.cli.tags", "Show how much of the cost has the required tags, and who created what lacks them."),
    "orphans": (
        "gpuwise.cli.orphans",
        "Find clusters, namespaces or workloads that have GPUs and have not used them for days.",
    ),
    "apis": ("gpuwise.cli.apis", "Show what external model APIs cost, by the metrics of LiteLLM or Envoy AI Gateway."),
    "report": ("gpuwise.cli.report", "Report one week: the bill, the waste by owner, what to do, what was done."),
    "export": ("gpuwise.cli.export", "Export the cost history as charges of FOCUS 1.3: CSV, JSON or Parquet."),
    "commitments": (
        "gpuwise.cli.commitments",
        "Show from which day a one- or three-year commitment would have paid, by the cost history.",
    ),
    "serve": (
        "gpuwise.cli.serve",
        "Serve the page, the JSON API and gpuwise's own metrics, and run the loop as policy allows.",
    ),
    "exporter": ("gpuwise.cli.exporter", "Serve this node's GPU metrics to Prometheus."),
    "replay": ("gpuwise.cli.replay", "Replay a recording or a trace: what gpuwise would have recommended, and when."),
    "backtest": ("gpuwise.cli.backtest", "Play a policy and its baselines on a recorded trace."),
    "doctor": ("gpuwise.cli.doctor", "Check prices, ledger, usage, cluster and rights; say how to fix what fails."),
    "policy": ("gpuwise.cli.policy", "Test a policy before it is merged, check a manifest before it is deployed."),
    "snapshot": ("gpuwise.cli.snapshot", "Write all that the decisions depend on to one anonymised file."),
    "config": ("gpuwise.cli.config", "Show the configuration."),
    "demo": (
        "gpuwise.cli.demo",
        "Simulate a fleet of 320 GPUs, find its waste, fix what is safe on an emulated cluster, and report the week.",
    ),
}
"""The module of each command, and its line in the list of commands: the first line of its own help."""


class _Commands(Group):
    """Imports the module of a command when it runs: ray, kubernetes and pyarrow together take seconds."""

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
    """Find GPU time that a Kubernetes fleet pays for and does not use, and fix it safely."""


def run(failed: Callable[[str], int]) -> int:
    """Run the command line.

    Args:
        failed: prints an error, and returns the exit code.
    """
    try:
        code = gpuwise(standalone_mode=False)  # click returns the code of context.exit instead of exiting
    except GpuwiseError as error:
        return failed(str(error))
    except ModuleNotFoundError as error:
        if not missing():
            raise
        package = (error.name or "").partition(".")[0]
        needed = f"`gpuwise {_command()}` needs packages that are not installed, such as {package}"
        return failed(f"{needed}; install 'gpuwise[fleet]'")
    except click.Abort:
        return failed("stopped; nothing else was changed")
    except click.ClickException as error:
        problem = error.format_message().rstrip(".")
        command = f"{_command()} " if _command() else ""
        return failed(f"{problem}; see `gpuwise {command}--help`")
    return code if isinstance(code, int) else 0


def _command() -> str:
    return sys.argv[1] if len(sys.argv) > 1 and sys.argv[1] in COMMANDS else ""
