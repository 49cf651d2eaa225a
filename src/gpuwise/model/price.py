"""What a GPU hour costs."""

from collections.abc import Mapping
from dataclasses import dataclass

from gpuwise.model.inventory import CapacityType


@dataclass(frozen=True, slots=True)
class PriceBook:
    """Prices by GPU type and capacity type; a price that nobody gave is None, never 0.

    Attributes:
        usd_per_gpu_h: by (canonical GPU type, capacity type).
        source: where the prices are from, for the report.
    """

    usd_per_gpu_h: Mapping[tuple[str, CapacityType], float]
    source: str

    def price(self, gpu_type: str | None, capacity_type: CapacityType | None) -> float | None:
        """Dollars per whole GPU and hour, or None if no price is known.

        Args:
            gpu_type: canonical name, as in `GpuType.name`.
            capacity_type: None is priced as on-demand, which is what an unlabelled node is.
        """
        if gpu_type is None:
            return None
        return self.usd_per_gpu_h.get((gpu_type, capacity_type or CapacityType.ON_DEMAND))
