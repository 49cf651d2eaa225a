"""Chooses the kernel: the compiled one, unless the twin is asked for by name. There is no silent fallback."""

from gpuwise.research.placement._choose_c import choose

__all__ = ["choose"]
