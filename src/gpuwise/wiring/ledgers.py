"""The ledger and its parts."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

from gpuwise import leading
from gpuwise.config import Config
from gpuwise.memory.cost_history import SqlCostHistory
from gpuwise.memory.ledger import SqlLedger
from gpuwise.memory.ledger_anchor import AnchoredLedger, ConfigMapAnchor
from gpuwise.memory.ledger_database import Database, postgresql, sqlite
from gpuwise.model.errors import InputError
from gpuwise.model.ports import ClusterWriter
from gpuwise.wiring.secrets import secret


def ledger(config: Config, stack: ExitStack, cluster: ClusterWriter | None = None, *, moves: bool = True) -> SqlLedger:
    """Open the ledger.

    Args:
        config: path or URL of the ledger.
        stack: closes it.
        cluster: cluster that stores the ledger's head; None for commands that only read.
        moves: whether the stored head is updated, or only compared.
    """
    if cluster is None:
        return stack.enter_context(open_ledger(config))
    return stack.enter_context(AnchoredLedger(ledger_database(config), anchor(config, cluster), moves=moves))


@contextmanager
def cost_history(config: Config) -> Iterator[SqlCostHistory]:
    """Open the cost history of all clusters in the ledger's database, to read it.

    Raises:
        InputError: there is no ledger.
        LedgerError: its database cannot be read.
    """
    must_exist(config)
    with closing(ledger_database(config)) as database:
        database.open()
        yield SqlCostHistory(database)


def must_exist(config: Config) -> None:
    """Refuse a file of the ledger that does not exist, which opening would create.

    Raises:
        InputError: there is no such file.
    """
    if config.ledger.url is None and not config.ledger.path.expanduser().exists():
        hint = "run `gpuwise scan` first, or check --ledger, ledger.path or ledger.url"
        raise InputError(f"there is no ledger {config.ledger.path}", hint=hint)


def open_ledger(config: Config) -> SqlLedger:
    """Open the ledger without its anchor; use it as a context manager."""
    return SqlLedger(ledger_database(config))


def ledger_database(config: Config) -> Database:
    """Return the database of the ledger: PostgreSQL if a URL is configured, else the SQLite file."""
    if config.ledger.url is None:
        return sqlite(config.ledger.path.expanduser())
    return postgresql(config.ledger.url, secret(config.ledger.password_file, "ledger.password_file"))


def anchor(config: Config, cluster: ClusterWriter) -> ConfigMapAnchor:
    """Return the ConfigMap that stores the ledger's head."""
    return ConfigMapAnchor(cluster, config.ledger.anchor_namespace or leading.own_namespace())
