"""The ledger's tables for SQLAlchemy, and the few expressions that SQLite and PostgreSQL write differently.

The bodies of events are JSON in a column of text, because the hash chain is computed over their bytes. Kinds stand in
queries as literals, not as parameters: both databases use a partial index only if the query says which rows it covers.
"""

import json
from collections.abc import Collection
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, ColumnElement, MetaData, String, Table, Text, func, literal_column
from sqlalchemy import bindparam as parameter
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

_tables = MetaData()

events = Table(
    "events",
    _tables,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at_s", BigInteger),
    Column("kind", Text),
    Column("subject", Text),
    Column("body", Text),
    Column("hash", Text),
)
findings = Table("findings", _tables, Column("run", BigInteger, primary_key=True), Column("body", Text))
identity = Table("identity", _tables, Column("id", Text))
open_intents = Table("open_intents", _tables, Column("subject", Text, primary_key=True))
verified = Table(
    "verified",
    _tables,
    Column("only_row", BigInteger, primary_key=True),
    Column("upto", BigInteger),
    Column("hash", Text),
    Column("again", BigInteger),
)


def of_kind(kind: str, table: Any = events) -> ColumnElement[bool]:
    """The condition that a row is of a kind."""
    compared: ColumnElement[bool] = table.c.kind == literal_column(f"'{kind}'")
    return compared


def value(body: ColumnElement[str], path: str) -> ColumnElement[str]:
    """A text within a JSON body; NULL if it is absent or null.

    Args:
        body: the column.
        path: as SQLite writes it: "$.command.workload.uid".
    """
    return _Value(body, literal_column(f"'{path}'"))


def one_of(column: ColumnElement[str], values: ColumnElement[str]) -> ColumnElement[bool]:
    """The condition that a column has one of many values, which are sent as one: `listed`."""
    return _OneOf(column, values)


def listed(values: Collection[str]) -> str:
    """Many values as one, for `one_of`."""
    return json.dumps(sorted(values))


def of_cluster(body: ColumnElement[str]) -> ColumnElement[bool]:
    """The condition that a row is of the parameter `cluster`, or of no known cluster."""
    return func.coalesce(value(body, "$.cluster"), "").in_(["", parameter("cluster", type_=String)])


def in_scope(body: ColumnElement[str]) -> ColumnElement[bool]:
    """The condition that an intent counts in the budget of the parameter `scope`; without scopes it counts in each."""
    return value(body, "$.scopes").is_(None) | _HasScope(body, parameter("scope", type_=String))


def mostly(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """The condition, with the hint that most rows meet it: SQLite then prefers the index of another one."""
    return _Mostly(condition)


class _Condition(FunctionElement[bool]):
    """With "= 1", which SQLAlchemy adds for SQLite, it would be no condition of an index."""

    inherit_cache = True
    type = Boolean()

    def self_group(self, against: Any = None) -> Any:  # noqa: ARG002 - SQLAlchemy passes it
        return self


class _Mostly(_Condition):
    inherit_cache = True


class _OneOf(_Condition):
    inherit_cache = True


class _Value(FunctionElement[str]):
    inherit_cache = True
    type = Text()


class _HasScope(FunctionElement[bool]):
    inherit_cache = True
    type = Boolean()


@compiles(_Mostly, "sqlite")
def _mostly_in_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    return f"likely({compiler.process(element.clauses, **options)})"


@compiles(_Mostly, "postgresql")
def _mostly_in_postgresql(element: Any, compiler: Any, **options: Any) -> str:
    return f"({compiler.process(element.clauses, **options)})"


@compiles(_Value, "sqlite")
def _value_in_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    return f"json_extract({compiler.process(element.clauses, **options)})"


@compiles(_Value, "postgresql")
def _value_in_postgresql(element: Any, compiler: Any, **options: Any) -> str:
    body, path = (compiler.process(part, **options) for part in element.clauses)
    keys = ",".join(path.strip("'").removeprefix("$.").split("."))
    return f"(({body})::jsonb #>> '{{{keys}}}')"


@compiles(_OneOf, "sqlite")
def _one_of_in_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    column, listed = (compiler.process(part, **options) for part in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({listed}))"  # noqa: S608 - a parameter


@compiles(_OneOf, "postgresql")
def _one_of_in_postgresql(element: Any, compiler: Any, **options: Any) -> str:
    # An array, and no subquery in its place: for that PostgreSQL reads the whole index, ten times as long.
    column, listed = (compiler.process(part, **options) for part in element.clauses)
    return f"{column} = ANY(ARRAY(SELECT jsonb_array_elements_text(CAST({listed} AS jsonb))))"


@compiles(_HasScope, "sqlite")
def _has_scope_in_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    body, scope = (compiler.process(part, **options) for part in element.clauses)
    listed = f"SELECT 1 FROM json_each({body}, '$.scopes') AS scope"  # noqa: S608 - a column
    return f"EXISTS ({listed} WHERE scope.value = {scope})"


@compiles(_HasScope, "postgresql")
def _has_scope_in_postgresql(element: Any, compiler: Any, **options: Any) -> str:
    body, scope = (compiler.process(part, **options) for part in element.clauses)
    return f"(({body})::jsonb -> 'scopes' @> to_jsonb(CAST({scope} AS text)))"
