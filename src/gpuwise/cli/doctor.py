"""Is everything in reach that the other commands need?"""

import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from itertools import islice

import click
from rich.text import Text

from gpuwise import wiring
from gpuwise.cli.console import say
from gpuwise.cli.options import scoring
from gpuwise.config import Config
from gpuwise.model.errors import GpuwiseError
from gpuwise.store.ledger_anchor import agree, parse_head
from gpuwise.store.prices import read_prices


@click.command()
@scoring
@click.option("--ledger-head", metavar="HEAD", help="Compare the ledger with this head, as a report prints it.")
@click.pass_context
def doctor(context: click.Context, config: Config, ledger_head: str | None) -> None:
    """Check prices, ledger, source of usage and cluster; say what to mend. Reads only."""
    checks: tuple[tuple[str, Callable[[Config], str]], ...] = (
        ("prices", _prices),
        ("ledger", partial(_ledger, ledger_head)),
        ("usage", _usage),
        ("inventory", _inventory),
    )
    failed = sum(not _passed(name, check, config) for name, check in checks)
    if failed:
        context.exit(1)


def _passed(name: str, check: Callable[[Config], str], config: Config) -> bool:
    try:
        say(Text.assemble(("ok      ", "green"), f"{name}: {check(config)}"))
    except GpuwiseError as error:
        say(Text.assemble(("failed  ", "red"), f"{name}: {error}"))
        return False
    return True


def _prices(config: Config) -> str:
    book = read_prices(config.prices)
    return f"{len(book.usd_per_gpu_h)} prices from {book.source}"


def _ledger(ledger_head: str | None, config: Config) -> str:
    with ExitStack() as stack:
        ledger = wiring.ledger(config, stack)
        if ledger_head is not None:
            agree(ledger, parse_head(ledger_head), "--ledger-head")
        said = f"{config.ledger.path} is whole; {len(ledger.intents())} actions so far"
        if not wiring.changeable(config):
            return said
        anchor = wiring.anchor(config, wiring.cluster(config, stack))
        anchor.compare(ledger)
        return f"{said}; {anchor.state(ledger)}"


def _usage(config: Config) -> str:
    return wiring.usage(config).describe()


def _inventory(config: Config) -> str:
    began = time.monotonic()
    with ExitStack() as stack:
        fleet = wiring.inventory(config, stack).snapshot(0)
    took_s = time.monotonic() - began
    gpus = sum(node.gpu_count for node in fleet.nodes.values())
    few = ", ".join(islice((str(workload.ref) for workload in fleet.workloads), 3))
    seen = f"{len(fleet.nodes)} nodes, {gpus} GPUs, {len(fleet.workloads)} GPU workloads ({few} ...)"
    return f"{seen}, listed in {took_s:.1f} s"
