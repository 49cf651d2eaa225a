"""Chooses the kernel: the compiled one, unless the twin is asked for by name. There is no silent fallback."""

from gpuwise.score._hours_c import fold

__all__ = ["fold"]
