"""Select the chunk kernel: the compiled one. The Python twin must be imported explicitly; there is no fallback."""

from gpuwise.sources.prometheus._chunks_c import reduce_chunks

__all__ = ["reduce_chunks"]
