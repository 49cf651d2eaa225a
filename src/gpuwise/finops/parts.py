"""The part of a period that belongs to some workloads: plain data that another process can compile a report from.

What depends on the whole fleet stays as it was found there: the division of shared cards, the time that a node has, and
the first sample. So the parts of all owners sum to what the fleet's pods had.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from gpuwise.finops.lives import Lives
from gpuwise.finops.period import Overview, Period
from gpuwise.finops.teams import Members
from gpuwise.finops.uses import Place, Uses, counted, measured_days, uses_of
from gpuwise.model.billed import BilledUse
from gpuwise.model.inventory import Inventory, WorkloadRef


@dataclass(frozen=True)  # no slots, as `Period`
class PartOfPeriod(Period):
    """A part of a period.

    Attributes:
        seen: what is known of the use of the whole fleet.
        on: the nodes on which the part had GPUs.
        of_types: prices of the known nodes of the fleet, by GPU type.
        uses: how the part's use is counted.
    """

    seen: Overview = field(kw_only=True)
    on: Lives = field(kw_only=True)
    of_types: Mapping[str | None, set[float | None]] = field(kw_only=True)
    uses: Uses = field(kw_only=True)

    @cached_property
    def overview(self) -> Overview:
        """That of the whole fleet."""
        return self.seen

    @cached_property
    def lives(self) -> Lives:
        """Those of the part."""
        return self.on

    @cached_property
    def _results(self) -> dict[Callable[[Period], Any], Any]:
        return {counted: self.uses}

    @cached_property
    def prices_of_type(self) -> Mapping[str | None, set[float | None]]:
        """Those of the whole fleet."""
        return self.of_types


def parts_of(period: Period, members: Mapping[str, Members]) -> dict[str, PartOfPeriod]:
    """Divide what pods were allocated; the use is read once, in its order.

    Args:
        period: of a whole fleet.
        members: what belongs to each part, by its selection, such as "team vision"; no two have the same.
    """
    whole = uses_of(period)
    spaces = {space: name for name, one in members.items() for space in one.namespaces}
    owners = {workload.ref: name for name, one in members.items() for workload in one.workloads}
    owners |= {ref: spaces[ref.namespace] for ref in period.deleted if ref.namespace in spaces}
    billed: dict[str, dict[WorkloadRef, BilledUse]] = {name: {} for name in members}
    for ref in whole.owners:
        if ref in owners:
            billed[owners[ref]][ref] = period.billed[ref]
    return {name: _part(period, name, one, billed[name]) for name, one in members.items()}


def _part(period: Period, name: str, of: Members, billed: Mapping[WorkloadRef, BilledUse]) -> PartOfPeriod:
    whole = uses_of(period)
    devices = {stay.device_uuid for use in billed.values() for stay in use.stays if stay.node is None}
    places = {device: whole.places[device] for device in devices & whole.places.keys()}
    on = _only(period.lives, {*_named(billed.values()), *places.values()})
    days = [day_s for day_s, _, _ in measured_days(period)]
    return PartOfPeriod(
        _inventory(period.inventory, of, billed, on.keys),
        billed,
        period.prices,
        period.start_s,
        period.end_s,
        period.now_s,
        selection=name,
        listed=period.listed,
        deleted_in=frozenset(of.namespaces),
        tags=period.tags,
        factors=period.factors,
        seen=period.overview,
        on=on,
        of_types=dict(period.prices_of_type),
        uses=Uses(
            billed,
            tuple(billed),
            whole.measured,
            on,
            places,
            {ref: whole.corrections[ref] for ref in billed if ref in whole.corrections},
            _shares(whole.seen, on, days),
            _shares(whole.unseen, on, days),
        ),
    )


def _named(uses: Iterable[BilledUse]) -> Iterable[str]:
    for use in uses:
        yield from (day.node for day in (*use.days, *use.unseen_days) if day.node is not None)
        yield from (stay.node for stay in use.stays if stay.node is not None)


def _inventory(fleet: Inventory, of: Members, billed: Iterable[WorkloadRef], names: Iterable[str]) -> Inventory:
    spaces = {*of.namespaces, *(one.ref.namespace for one in of.workloads), *(ref.namespace for ref in billed)}
    return replace(
        fleet,
        nodes={name: fleet.nodes[name] for name in names if name in fleet.nodes},
        workloads=tuple(of.workloads),
        namespaces={name: fleet.namespaces[name] for name in sorted(spaces) if name in fleet.namespaces},
        unread=(),
    )


def _only(lives: Lives, names: set[str]) -> Lives:
    """Return the nodes that had one of the names."""
    keys = {name: lives.keys[name] for name in sorted(names) if name in lives.keys}
    found = [key for of_name in keys.values() for key in of_name]
    return Lives(
        {key: lives.nodes[key] for key in found},
        keys,
        {key: lives.cards[key] for key in found if key in lives.cards},
        lives.renewed & keys.keys(),
    )


def _shares(shares: Mapping[Place, float], on: Lives, days: Sequence[int]) -> dict[Place, float]:
    return {(day_s, key): shares[day_s, key] for key in on.nodes for day_s in days if (day_s, key) in shares}
