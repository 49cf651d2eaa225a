"""Imports the compiled kernels. There is no silent fallback to `_sheet_py`, their specification."""

from gpuwise.score._sheet_c import add_today, arrange, by_hour_of_week, summarise
from gpuwise.score._sheet_py import Placed

__all__ = ["Placed", "add_today", "arrange", "by_hour_of_week", "summarise"]
