"""The list of backtests, in display order."""

from typing import Any

from gpuwise.backtest.anomaly import ANOMALY
from gpuwise.backtest.contract import Backtest
from gpuwise.backtest.forecast import BUDGET, FORECAST
from gpuwise.backtest.gpu_overprovisioned.emitted import SLICE_SIZE
from gpuwise.backtest.gpu_overprovisioned.throughput import SLICE
from gpuwise.backtest.gpu_type_overprovisioned import GPU_TYPE
from gpuwise.backtest.idle_between_uses.policies import IDLE
from gpuwise.backtest.interruptible_on_demand.policies import SPOT
from gpuwise.backtest.interruptible_on_demand.regions import SPOT_REGIONS
from gpuwise.backtest.memory_limit.policies import MEMORY
from gpuwise.backtest.mig_geometry_misfit.policies import MIG
from gpuwise.backtest.node_underutilised.policies import CONSOLIDATE
from gpuwise.backtest.placement.policies import PACKING
from gpuwise.backtest.power_limit_overprovisioned import POWER_CAP

BACKTESTS: tuple[Backtest[Any], ...] = (
    IDLE,
    SPOT,
    SPOT_REGIONS,
    PACKING,
    CONSOLIDATE,
    MIG,
    MEMORY,
    SLICE,
    SLICE_SIZE,
    GPU_TYPE,
    POWER_CAP,
    FORECAST,
    BUDGET,
    ANOMALY,
)
