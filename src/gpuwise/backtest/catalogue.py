"""The list of backtests, in the order in which they are shown."""

from typing import Any

from gpuwise.backtest.contract import Backtest
from gpuwise.backtest.power_cap import POWER_CAP
from gpuwise.backtest.spot import SPOT
from gpuwise.backtest.spot_regions import SPOT_REGIONS

BACKTESTS: tuple[Backtest[Any], ...] = (SPOT, SPOT_REGIONS, POWER_CAP)
