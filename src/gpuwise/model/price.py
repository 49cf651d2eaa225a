"""Prices of GPU-hours in dollars, and the carbon intensity of a kilowatt-hour."""

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

    def price(self, gpu_type: str | None, capacity_type: CapacityType | None) -> float | None:
        """Dollars per whole GPU and hour, or None if no price is known.

        Args:
            gpu_type: canonical name, as in `GpuType.name`.
            capacity_type: None is priced as on-demand, because an unlabelled node is taken to be on-demand.
        """
        if gpu_type is None:
            return None
        return self.usd_per_gpu_h.get((gpu_type, capacity_type or CapacityType.ON_DEMAND))
