"""What a GPU hour costs in dollars, and a kilowatt-hour in carbon."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gpuwise.model.inventory import CapacityType


@dataclass(frozen=True, slots=True)
class PriceBook:
    """Prices by GPU type and capacity type; a price that nobody gave is None, never 0.

    Attributes:
        usd_per_gpu_h: by (canonical GPU type, capacity type).
        source: where the prices are from, for the report.
        kg_co2e_per_kwh: carbon intensity of the grid by region of the cloud.
    """

    usd_per_gpu_h: Mapping[tuple[str, CapacityType], float]
    source: str
    kg_co2e_per_kwh: Mapping[str, float] = field(default_factory=dict)

    def price(self, gpu_type: str | None, capacity_type: CapacityType | None) -> float | None:
        """Dollars per whole GPU and hour, or None if no price is known.

        Args:
            gpu_type: canonical name, as in `GpuType.name`.
            capacity_type: None is priced as on-demand, which is what an unlabelled node is.
        """
        if gpu_type is None:
            return None
        return self.usd_per_gpu_h.get((gpu_type, capacity_type or CapacityType.ON_DEMAND))
