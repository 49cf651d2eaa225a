"""Chooses the chunk kernel: the compiled one, unless the twin is asked for by name. There is no silent fallback."""

from gpuwise.store._chunks_c import reduce_chunks

__all__ = ["reduce_chunks"]
