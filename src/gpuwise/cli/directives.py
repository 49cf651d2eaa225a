"""`gpuwise dismiss`, `approve`, `pause` and `resume`: directives that every later decision respects."""

import getpass
import time
from typing import Literal

import click
from rich.text import Text

from gpuwise.cli.console import err, say
from gpuwise.cli.help import command
from gpuwise.cli.options import connection
from gpuwise.config import Config
from gpuwise.manual import record
from gpuwise.model.command import Directive
from gpuwise.model.errors import GpuwiseError, LedgerError
from gpuwise.model.ports import Ledger
from gpuwise.model.rights import STOP_CONFIG_MAP
from gpuwise.wiring import NamedCluster, named_cluster, open_ledger

why = click.option("--reason", default="", help="The reason, for the audit trail.")


@command()
@connection
@click.argument("recommendation_id", metavar="ID")
@why
def dismiss(config: Config, recommendation_id: str, reason: str) -> None:
    """Never carry out this recommendation; reports show it as dismissed."""
    _record(config, "dismiss", recommendation_id, reason)


@command()
@connection
@click.argument("recommendation_id", metavar="ID")
@why
def approve(config: Config, recommendation_id: str, reason: str) -> None:
    """Agree to a recommendation: automation carries it out when enough people have, as policy allows."""
    _record(config, "approve", recommendation_id, reason)


@command()
@connection
@why
def pause(config: Config, reason: str) -> None:
    """Stop all effects, including those of people, until `gpuwise resume`."""
    _record(config, "pause", "*", reason)


@command()
@connection
@why
def resume(config: Config, reason: str) -> None:
    """End a pause."""
    _record(config, "resume", "*", reason)


def _record(config: Config, kind: Literal["dismiss", "approve", "pause", "resume"], subject: str, reason: str) -> None:
    with open_ledger(config) as ledger:
        found = _cluster(config, ledger, otherwise_every=kind == "pause")
        actor, known = found.user or getpass.getuser(), found.user is not None
        directive = Directive(kind, subject, actor, int(time.time()), reason, found.uid, authenticated=known)
        ledger.belongs_to(found.uid)
        already = record(ledger, directive)
    where = f"cluster {found.uid}" if found.uid else "every cluster of the ledger"
    say(already or f"{kind}: recorded in {ledger.place}, for {where}, by {by(actor, authenticated=known)}")


def by(actor: str, *, authenticated: bool) -> str:
    """Return a person's name with its source, for a message."""
    return f"{actor} ({'authenticated by the cluster' if authenticated else 'user of the operating system'})"


def _cluster(config: Config, ledger: Ledger, *, otherwise_every: bool) -> NamedCluster:
    """The cluster that the options name, one without a uid for every cluster of the ledger.

    Args:
        config: the configuration.
        ledger: gets the order.
        otherwise_every: a pause must not fail because the cluster does not respond: it is then for every cluster.

    Raises:
        LedgerError: the leader in the cluster reads another ledger, so it would not follow the order.
    """
    try:
        return named_cluster(config, ledger)
    except LedgerError as error:
        stop = f"; kubectl create configmap {STOP_CONFIG_MAP} in gpuwise's namespace stops it without a ledger"
        raise LedgerError(error.problem, hint=f"{error.hint}{stop if otherwise_every else ''}") from error
    except GpuwiseError as error:
        if not otherwise_every:
            raise
        say(Text(f"warning: every cluster of this ledger is paused, because {error.problem}", "yellow"), to=err)
        return NamedCluster()
