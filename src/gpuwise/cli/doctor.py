"""`gpuwise doctor`: make each call that the other commands make, and report each result."""

import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import click
from rich.text import Text

from gpuwise import wiring
from gpuwise.cli import fleet_checks as fleet
from gpuwise.cli.console import say
from gpuwise.cli.help import command
from gpuwise.cli.options import acting
from gpuwise.cli.usage_checks import of_fleet
from gpuwise.config import Config
from gpuwise.memory.ledger_anchor import agree, parse_head
from gpuwise.model.checks import CheckResult, CheckStatus
from gpuwise.model.errors import Denied, Forbidden, Gone, GpuwiseError
from gpuwise.model.inventory import Inventory
from gpuwise.model.ports import ClusterReader, UsageSource
from gpuwise.model.price import PriceBook
from gpuwise.model.usage import DAY_S, Window

if TYPE_CHECKING:
    from gpuwise.delivery.senders import Senders

T = TypeVar("T")


@command()
@acting
@click.option("--ledger-head", metavar="HEAD", help="Compare the ledger with this head, as a report prints it.")
@click.pass_context
def doctor(context: click.Context, config: Config, ledger_head: str | None) -> None:
    """Check prices, ledger, usage, cluster and rights; say how to fix what fails. Reads only."""
    checks = _Checks()
    with ExitStack() as stack:
        prices = checks.check("prices", lambda: _prices(config))
        checks.check("ledger", lambda: _ledger(config, ledger_head))
        day = Window.ending(int(time.time()), length_s=DAY_S, step_s=config.observe.step_s)
        source = checks.check("usage", lambda: _usage(config))
        if config.recording is None and config.prometheus.url is not None:
            checks.report("server", wiring.prometheus(config).examine(day), already=source is None)
        reader = checks.check("cluster", lambda: _reader(config, stack))
        seen = _inventory(checks, config, reader) if reader is not None else None
        if seen is None:
            for name in ("inventory", "usage of the fleet", "rights"):
                checks.skip(name, "the fleet could not be listed")
        else:
            if prices is not None and (missing := fleet.unpriced(seen, prices)) is not None:
                checks.warn("prices of the fleet", missing)
            if source is not None and config.recording is None:
                measured = of_fleet(source, seen, day, config.score, min_coverage=config.recommend.min_coverage)
                checks.report("usage of the fleet", measured)
            if reader is not None and wiring.changeable(config):
                _rights(checks, config, reader, seen)
        given = config.report
        if given.email.host is not None or given.slack.webhook_url_file is not None or given.teams:
            senders = checks.check("report delivery", lambda: _senders(config))
            checks.report("report delivery", senders.reach() if senders is not None else ())
        if reader is not None and wiring.changeable(config):
            checks.check("ledger head", lambda: _head(config, stack, seen))
    if checks.failed:
        context.exit(1)


class _Checks:
    """Prints one line per check; a failed check does not stop the next."""

    def __init__(self) -> None:
        self.failed = 0

    def check(self, name: str, do: Callable[[], tuple[T, str]], *, without: str = "") -> T | None:
        """Run a check and return its value, None if it failed.

        Args:
            name: of the check.
            do: returns the value and a text about it.
            without: what a missing right leads to, if it is a warning and not a failure.
        """
        try:
            value, result = do()
        except GpuwiseError as error:
            if without and isinstance(error, Forbidden | Denied | Gone):
                self.warn(name, f"{error}; {without}")
            else:
                self.fail(name, str(error))
        except Exception as error:  # noqa: BLE001 - the other checks still run
            self.fail(name, f"{type(error).__name__}: {error}; this is a bug in gpuwise: please report it")
        else:
            self.succeed(name, result)
            return value
        return None

    def succeed(self, name: str, result: str) -> None:
        """Print a success."""
        say(Text.assemble(("ok       ", "green"), f"{name}: {result}"))

    def report(self, name: str, results: Iterable[CheckResult], *, already: bool = False) -> None:
        """Print results as they arrive; an error ends them, and is printed under the name if it was not already."""
        try:
            for one in results:
                match one.status:
                    case CheckStatus.OK:
                        self.succeed(one.name, one.text)
                    case CheckStatus.WARNING:
                        self.warn(one.name, one.text)
                    case CheckStatus.FAILED:
                        self.fail(one.name, one.text)
        except GpuwiseError as error:
            if not already:
                self.fail(name, str(error))

    def fail(self, name: str, problem: str) -> None:
        """Print a failure."""
        self.failed += 1
        say(Text.assemble(("failed   ", "red"), f"{name}: {problem}"))

    def warn(self, name: str, problem: str) -> None:
        """Print what is incomplete, without a failure."""
        say(Text.assemble(("warning  ", "yellow"), f"{name}: {problem}"))

    def skip(self, name: str, why: str) -> None:
        """Print a check that could not be tried."""
        say(Text.assemble(("skipped  ", "yellow"), f"{name}: {why}"))


def _prices(config: Config) -> tuple[PriceBook, str]:
    book = wiring.prices(config)
    return book, f"{len(book.usd_per_gpu_h) + len(book.usd_per_gpu_h_in)} prices from {book.source}"


def _ledger(config: Config, ledger_head: str | None) -> tuple[bool, str]:
    with ExitStack() as stack:
        ledger = wiring.ledger(config, stack)
        if ledger_head is not None:
            agree(ledger, parse_head(ledger_head), "--ledger-head")
        ledger.verify(whole=True)
        return True, f"{ledger.place} is intact; {len(ledger.intents())} actions so far"


def _usage(config: Config) -> tuple[UsageSource, str]:
    source = wiring.usage(config)
    return source, source.describe()


def _reader(config: Config, stack: ExitStack) -> tuple[ClusterReader, str]:
    if not wiring.changeable(config):
        return wiring.recorded(config), f"the inventory of the recording {config.recording}"
    cluster = wiring.cluster(config, stack)
    return cluster, cluster.address


def _inventory(checks: _Checks, config: Config, reader: ClusterReader) -> Inventory | None:
    """List each kind as `scan` does; None if a list failed."""
    began, before = time.monotonic(), checks.failed
    lists = {kind: checks.check(f"list {kind}", partial(fleet.listed, reader, kind)) for kind in fleet.EVERYWHERE}
    for kind in fleet.OPTIONAL:
        lists[kind] = checks.check(f"list {kind}", partial(fleet.listed_if_there, reader, kind))
    for kind in fleet.VOLUMES:
        lists[kind] = checks.check(f"list {kind}", partial(fleet.listed, reader, kind), without=fleet.NO_VOLUMES)
    if checks.failed > before:
        return None
    took_s = time.monotonic() - began
    objects, settings = {k: v for k, v in lists.items() if v is not None}, wiring.inventory_settings(config)
    return checks.check("inventory", lambda: fleet.assembled(objects, took_s, settings))


def _rights(checks: _Checks, config: Config, reader: ClusterReader, seen: Inventory) -> None:
    for problem in fleet.unreadable_modes(seen):
        checks.fail("mode", problem)
    wanted = fleet.wanted_rights(seen, config.policy)
    for place, targets in wanted.items():
        checks.check(f"rights in {place}", partial(fleet.granted, reader, targets))
    if not wanted:
        checks.check("rights", lambda: (True, "none needed: no namespace has mode approve or enforce"))


def _senders(config: Config) -> "tuple[Senders, str]":
    found = wiring.senders(config)
    number, teams = len(found.addresses), len(found.teams)
    channels = [f"e-mail to {number} address{'es' if number != 1 else ''}"] if found.server is not None else []
    channels += ["Slack"] if found.webhook is not None else []
    return found, ", ".join([*channels, *([f"{teams} team{'s' if teams != 1 else ''}"] if teams else [])])


def _head(config: Config, stack: ExitStack, seen: Inventory | None) -> tuple[bool, str]:
    ledger = wiring.ledger(config, stack)
    anchor = wiring.anchor(config, wiring.cluster(config, stack))
    anchor.compare(ledger)
    if seen is not None and anchor.namespace not in seen.namespaces:
        remedy = "create it, or set ledger.anchor_namespace"
        return True, f"not remembered in the cluster, which has no namespace {anchor.namespace}: {remedy}"
    return True, anchor.state(ledger)
