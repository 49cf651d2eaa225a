"""Chooses the histogram kernel: the compiled one, unless the twin is asked for by name. There is no silent fallback."""

from gpuwise.score._histogram_c import add

__all__ = ["add"]
