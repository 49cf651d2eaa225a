"""Prices of GPU-hours in dollars, and the carbon intensity of a kilowatt-hour."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from gpuwise.model.inventory import CapacityType


@dataclass(frozen=True, slots=True)
class PriceBook:
    """Prices by GPU type and capacity type; a price that is not given is None, never 0.

    Attributes:
        usd_per_gpu_h: by (canonical GPU type, capacity type).
        source: where the prices come from, for the report.
        kg_co2e_per_kwh: carbon intensity of the grid by cloud region.
    """

    usd_per_gpu_h: Mapping[tuple[str, CapacityType], float]
    source: str
    kg_co2e_per_kwh: Mapping[str, float] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """Source and content in one string: two files of one name with other prices differ."""
        rows = sorted((gpu_type, str(kind), usd) for (gpu_type, kind), usd in self.usd_per_gpu_h.items())
        return f"{self.source} (version {hashlib.sha256(repr(rows).encode()).hexdigest()[:8]})"

    def price(self, gpu_type: str | None, capacity_type: CapacityType | None) -> float | None:
        """Dollars per whole GPU and hour, or None if no price is known.

        Args:
            gpu_type: canonical name, as in `GpuType.name`.
            capacity_type: None is priced as on-demand, because an unlabelled node is taken to be on-demand.
        """
        if gpu_type is None:
            return None
        return self.usd_per_gpu_h.get((gpu_type, capacity_type or CapacityType.ON_DEMAND))
