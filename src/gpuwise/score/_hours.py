"""Selects the kernel: the compiled one, unless a caller imports the Python twin. There is no silent fallback."""

from gpuwise.score._hours_c import count
from gpuwise.score._hours_py import Column

__all__ = ["Column", "count"]
