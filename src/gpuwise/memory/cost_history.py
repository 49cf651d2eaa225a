"""The history of cost: daily rows beside the ledger, in the same database. A day that is closed never changes."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Double,
    MetaData,
    Table,
    Text,
    case,
    func,
    literal,
    select,
)

from gpuwise.memory.ledger_database import Database
from gpuwise.memory.ledger_tables import listed, one_of
from gpuwise.model.cost import (
    CLASSES,
    KEYS,
    NOBODY,
    CostDay,
    CostRow,
    CostSum,
    GpuSeconds,
    Measures,
    Owner,
    Price,
)
from gpuwise.model.hours import HOUR_S
from gpuwise.model.inventory import CapacityType

_tables = MetaData()

days = Table(
    "cost_days",
    _tables,
    Column("cluster", Text, primary_key=True),
    Column("day_s", BigInteger, primary_key=True),
    Column("from_s", BigInteger),
    Column("until_s", BigInteger),
    Column("closed", Boolean),
)
rows = Table(
    "costs",
    _tables,
    Column("cluster", Text),
    Column("day_s", BigInteger),
    Column("nobody", Boolean),
    *(Column(f"key_{name}", Text) for name in KEYS),
    Column("usd_per_gpu_h", Double),
    *(Column(f"{name}_s", Double) for name in CLASSES),
    *(Column(name, Double) for name in Measures._fields),
    Column("work_unit", Text),
    Column("unit_usd", Double),
)
_SUMMED = Measures._fields[:-1]
"""Steps of one job and tokens of another are no sum, so units of work are in no sum."""


class SqlCostHistory:
    """The `CostHistory` port on the ledger's database.

    Args:
        database: the open database of the ledger, which has the tables.
        cluster: whose rows are read and written; "" for those of every cluster, to read only.
        alone: whether "" is only the cluster without a known uid.
    """

    def __init__(self, database: Database, cluster: str = "", *, alone: bool = False) -> None:
        self._database = database
        self._cluster = cluster
        self._alone = alone

    def days(self, since_s: int, until_s: int) -> list[CostDay]:
        """See the port."""
        columns = (days.c.day_s, days.c.from_s, days.c.until_s, days.c.closed)
        asked = select(*columns).where(*self._between(days, since_s, until_s)).order_by(days.c.day_s)
        with self._database.reading() as db:
            return [CostDay(day_s, from_s, to_s, bool(closed)) for day_s, from_s, to_s, closed in db.execute(asked)]

    def record(self, counted: Sequence[CostDay], costs: Iterable[CostRow]) -> None:
        """See the port."""
        by_day: dict[int, list[CostRow]] = {day.day_s: [] for day in counted}
        for row in costs:
            by_day[row.day_s].append(row)
        with self._database.writing() as db:
            known = {
                day_s: (from_s, until_s, closed)
                for day_s, from_s, until_s, closed in db.execute(
                    select(days.c.day_s, days.c.from_s, days.c.until_s, days.c.closed).where(
                        days.c.cluster == self._cluster, days.c.day_s.in_(list(by_day))
                    )
                )
            }
            for day in counted:
                before = known.get(day.day_s)
                if before is None or _replaces(day, before[0], before[1], closed=before[2]):
                    self._replace(db, day, by_day[day.day_s])

    def _replace(self, db: Connection, day: CostDay, costs: Sequence[CostRow]) -> None:
        of_day = {"cluster": self._cluster, "day_s": day.day_s}
        for table in (rows, days):
            db.execute(table.delete().where(table.c.cluster == self._cluster, table.c.day_s == day.day_s))
        db.execute(days.insert().values(**of_day, from_s=day.from_s, until_s=day.until_s, closed=day.closed))
        if costs:
            db.execute(rows.insert(), [of_day | _stored(row) for row in costs])

    def sums(
        self, by: Sequence[str], since_s: int, until_s: int, where: Mapping[str, Collection[str]] | None = None
    ) -> Iterator[CostSum]:
        """See the port."""
        only = [one_of(rows.c[f"key_{name}"], literal(listed(values))) for name, values in (where or {}).items()]
        keys = [rows.c.day_s if name == "day" else rows.c.cluster if name == "cluster" else rows.c[f"key_{name}"]
                for name in by]  # fmt: skip
        price, times = rows.c.usd_per_gpu_h, [rows.c[f"{name}_s"] for name in CLASSES]
        sums: list[Any] = [func.sum(time) for time in times]
        sums += [func.coalesce(func.sum(time * price), 0.0) / HOUR_S for time in times]
        sums += [func.sum(case((price.is_(None), time), else_=0.0)) for time in times]
        sums += [func.sum(rows.c[name]) for name in _SUMMED]
        asked = (
            select(rows.c.nobody, *keys, *sums)
            .where(*self._between(rows, since_s, until_s), *only)
            .group_by(rows.c.nobody, *keys)
            .order_by(*keys, rows.c.nobody)
        )
        wide = len(CLASSES)
        with self._database.reading() as db:
            for nobody, *found in db.execute(asked):
                at = len(keys)
                yield CostSum(
                    keys=tuple(found[:at]),
                    time=GpuSeconds(*found[at : at + wide]),
                    usd=GpuSeconds(*found[at + wide : at + 2 * wide]),
                    unpriced=GpuSeconds(*found[at + 2 * wide : at + 3 * wide]),
                    nobody=bool(nobody),
                    measures=Measures(*found[at + 3 * wide :]),
                )

    def worked(self, since_s: int, until_s: int) -> list[tuple[str, str | None, str | None, int]]:
        """See the port."""
        keys = rows.c.cluster, rows.c.key_namespace, rows.c.key_workload, rows.c.day_s
        asked = (
            select(*keys).where(*self._between(rows, since_s, until_s), rows.c.work > 0.0).distinct().order_by(*keys)
        )
        with self._database.reading() as db:
            return [(cluster, namespace, workload, day_s) for cluster, namespace, workload, day_s in db.execute(asked)]

    def rows(self, since_s: int, until_s: int) -> Iterator[CostRow]:
        """See the port."""
        asked = (
            select(rows.c.day_s, rows.c.nobody, *(rows.c[f"key_{name}"] for name in KEYS), rows.c.usd_per_gpu_h,
                   *(rows.c[f"{name}_s"] for name in CLASSES), *(rows.c[name] for name in Measures._fields),
                   rows.c.work_unit, rows.c.unit_usd)
            .where(*self._between(rows, since_s, until_s))
            .order_by(rows.c.day_s)
        )  # fmt: skip
        owned, priced = len(Owner._fields), len(Price._fields) - 1
        with self._database.reading() as db:
            for day_s, nobody, *found in db.execute(asked):
                gpu_type, capacity, region, zone = found[owned : owned + priced]
                kind = None if capacity is None else CapacityType(capacity)
                usd, *rest = found[owned + priced :]
                *amounts, unit, worth = rest
                time, measures = GpuSeconds(*amounts[: len(CLASSES)]), Measures(*amounts[len(CLASSES) :])
                owner = NOBODY if nobody else Owner(*found[:owned])
                yield CostRow(day_s, owner, Price(gpu_type, kind, region, zone, usd), time, measures, unit, worth)

    def clusters(self) -> list[str]:
        """The clusters that have days in the database, also if the history is of one; "" is one without a known uid."""
        with self._database.reading() as db:
            return list(db.scalars(select(days.c.cluster).distinct().order_by(days.c.cluster)))

    def of(self, cluster: str) -> "SqlCostHistory":
        """The history of one of `clusters()`."""
        return SqlCostHistory(self._database, cluster, alone=True)

    def _between(self, table: Table, since_s: int, until_s: int) -> list[Any]:
        found = [table.c.day_s >= since_s, table.c.day_s < until_s]
        return [*found, table.c.cluster == self._cluster] if self._cluster or self._alone else found


def _replaces(day: CostDay, from_s: int, until_s: int, *, closed: bool) -> bool:
    """Whether a day that was counted again replaces what is stored: never with less of it, and not if it is closed."""
    return not closed and day.from_s <= from_s and day.until_s >= until_s


def _stored(row: CostRow) -> dict[str, Any]:
    named = dict(zip((f"key_{name}" for name in KEYS), (*row.owner, *row.price[:-1]), strict=True))
    times = {f"{name}_s": getattr(row.time, name) for name in CLASSES}
    whose = {"nobody": row.owner == NOBODY, "usd_per_gpu_h": row.price.usd_per_gpu_h, "work_unit": row.work_unit,
             "unit_usd": row.unit_usd}  # fmt: skip
    return named | times | row.measures._asdict() | whose
