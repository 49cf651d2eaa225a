"""Imports the compiled kernel. There is no silent fallback to `_choose_py`, its specification."""

from gpuwise.recommend.engines.node_underutilised._choose_c import choose

__all__ = ["choose"]
