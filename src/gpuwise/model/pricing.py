"""How prices are made from lists: discounts, currencies, and the cost of hardware of one's own."""

from collections.abc import Mapping
from dataclasses import dataclass, field

YEAR_H = 8_760
_MONTHS = 12


@dataclass(frozen=True, slots=True)
class OnPremises:
    """What one server with GPUs costs to buy and to run."""

    gpu_type: str
    """Canonical name of its GPUs, as in `gpuwise scan`."""

    gpus: int
    """How many GPUs it has."""

    purchase_usd: float
    """Its price, with its share of network and storage."""

    years: float
    """Years over which the purchase is written off, in equal parts."""

    residual_usd: float = 0.0
    """What it is worth after these years."""

    power_kw: float = 0.0
    """Its average draw, kilowatts, without cooling."""

    pue: float = 1.0
    """Power usage effectiveness: power of the whole data centre over that of its IT equipment, 1 or more."""

    usd_per_kwh: float = 0.0
    """Price of energy."""

    space_usd_month: float = 0.0
    """Space, support and staff for it in a month."""

    region: str = ""
    """Only nodes in this region have the price; without a value all nodes in regions without a list price."""

    def __post_init__(self) -> None:
        least = {"gpus": 1, "purchase_usd": 0, "residual_usd": 0, "power_kw": 0, "pue": 1, "usd_per_kwh": 0}
        for name, lowest in (least | {"space_usd_month": 0}).items():
            if not lowest <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be {lowest} or more")
        if not 0 < self.years < float("inf"):
            raise ValueError("years must be above 0")
        if self.residual_usd > self.purchase_usd:
            raise ValueError("residual_usd must not exceed purchase_usd")

    @property
    def usd_per_gpu_h(self) -> float:
        """Dollars per GPU and hour, whether the GPU works or not.

        ((purchase - residual) / (years x 8,760 h) + power x PUE x price of a kWh + space x 12 / 8,760 h) / GPUs, with
        straight-line depreciation, and PUE as ISO/IEC 30134-2 defines it.
        """
        hardware = (self.purchase_usd - self.residual_usd) / (self.years * YEAR_H)
        energy = self.power_kw * self.pue * self.usd_per_kwh
        return (hardware + energy + self.space_usd_month * _MONTHS / YEAR_H) / self.gpus


@dataclass(frozen=True, slots=True)
class PricingSettings:
    """How prices are made from the price list or the file of `prices`."""

    discounts: Mapping[str, float] = field(default_factory=dict)
    """Negotiated discounts as shares of the price, by GPU type and capacity type ("H100-80GB/spot"), GPU type, capacity
    type, or "all"; the first of these that is given counts alone. They do not apply to `on_premises`."""

    stale_after_days: int = 180
    """The report names prices that are older than these days."""

    on_premises: Mapping[str, OnPremises] = field(default_factory=dict)
    """Servers of your own by a name that you choose; a GPU-hour's cost is computed from purchase, energy and space."""

    def __post_init__(self) -> None:
        if self.stale_after_days < 0:
            raise ValueError("stale_after_days must be 0 or more")
