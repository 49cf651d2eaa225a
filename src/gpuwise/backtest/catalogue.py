"""The list of backtests, in the order in which they are shown."""

from typing import Any

from gpuwise.backtest.consolidate import CONSOLIDATE
from gpuwise.backtest.contract import Backtest
from gpuwise.backtest.gpu_type import GPU_TYPE
from gpuwise.backtest.idle import IDLE
from gpuwise.backtest.memory import MEMORY
from gpuwise.backtest.mig import MIG
from gpuwise.backtest.packing import PACKING
from gpuwise.backtest.power_cap import POWER_CAP
from gpuwise.backtest.slice_throughput import SLICE
from gpuwise.backtest.spot import SPOT
from gpuwise.backtest.spot_regions import SPOT_REGIONS

BACKTESTS: tuple[Backtest[Any], ...] = (
    IDLE,
    SPOT,
    SPOT_REGIONS,
    PACKING,
    CONSOLIDATE,
    MIG,
    MEMORY,
    SLICE,
    GPU_TYPE,
    POWER_CAP,
)
