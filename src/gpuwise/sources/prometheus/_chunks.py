"""Chooses the chunk kernel: the compiled one, unless the twin is asked for by name. There is no silent fallback."""

from gpuwise.sources.prometheus._chunks_c import reduce_chunks

__all__ = ["reduce_chunks"]
