"""Prices of GPU-hours in dollars, and the carbon intensity of a kilowatt-hour."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from gpuwise.model.inventory import CapacityType, Node

Place = tuple[str, CapacityType, str, str]
"""Canonical GPU type, capacity type, region and zone; "" is any region or any zone."""


@dataclass(frozen=True, slots=True)
class PriceBook:
    """Prices by GPU type and capacity type, and by place; a price that is not given is None, never 0.

    Attributes:
        usd_per_gpu_h: by (canonical GPU type, capacity type), in all places without a price of their own.
        source: where the prices come from, for the report.
        kg_co2e_per_kwh: carbon intensity of the grid by cloud region.
        usd_per_gpu_h_in: prices of one region or zone.
        as_of_s: when a price was read, epoch seconds, where that is known; region and zone are "" for all other places.
        stale_after_days: days after which a price is old.
    """

    usd_per_gpu_h: Mapping[tuple[str, CapacityType], float]
    source: str
    kg_co2e_per_kwh: Mapping[str, float] = field(default_factory=dict)
    usd_per_gpu_h_in: Mapping[Place, float] = field(default_factory=dict)
    as_of_s: Mapping[Place, int] = field(default_factory=dict)
    stale_after_days: int = 180

    @property
    def version(self) -> str:
        """Source and content in one string: two files of one name with other prices differ."""
        rows: list[tuple[str | float, ...]] = sorted(
            (gpu_type, str(kind), usd) for (gpu_type, kind), usd in self.usd_per_gpu_h.items()
        )
        rows += sorted((*place, usd) for place, usd in self.usd_per_gpu_h_in.items())
        return f"{self.source} (version {hashlib.sha256(repr(rows).encode()).hexdigest()[:8]})"

    def price(
        self,
        gpu_type: str | None,
        capacity_type: CapacityType | None,
        *,
        region: str | None = None,
        zone: str | None = None,
    ) -> float | None:
        """Dollars per whole GPU and hour, or None if no price is known.

        Args:
            gpu_type: canonical name, as in `GpuType.name`.
            capacity_type: None is priced as on-demand, because an unlabelled node is taken to be on-demand.
            region: of the node; None if it is not known, which has the price of all other places.
            zone: the same. The most specific price counts: of the zone in the region, the zone, the region.
        """
        place = self.place(gpu_type, capacity_type, region=region, zone=zone)
        if place is None:
            return None
        return self.usd_per_gpu_h_in[place] if any(place[2:]) else self.usd_per_gpu_h[place[:2]]

    def place(
        self,
        gpu_type: str | None,
        capacity_type: CapacityType | None,
        *,
        region: str | None = None,
        zone: str | None = None,
    ) -> Place | None:
        """Which price counts, of all other places if region and zone are ""; None if no price is known.

        Args:
            gpu_type: as for `price`.
            capacity_type: the same.
            region: the same.
            zone: the same.
        """
        if gpu_type is None:
            return None
        kind = capacity_type or CapacityType.ON_DEMAND
        if self.usd_per_gpu_h_in:
            for place in ((region or "", zone or ""), ("", zone or ""), (region or "", "")):
                if any(place) and (gpu_type, kind, *place) in self.usd_per_gpu_h_in:
                    return (gpu_type, kind, *place)
        return (gpu_type, kind, "", "") if (gpu_type, kind) in self.usd_per_gpu_h else None

    def of_node(self, node: Node) -> float | None:
        """Dollars per whole GPU and hour of a node's GPUs, or None if no price is known."""
        gpu_type = None if node.gpu_type is None else node.gpu_type.name
        return self.price(gpu_type, node.capacity_type, region=node.region, zone=node.zone)
