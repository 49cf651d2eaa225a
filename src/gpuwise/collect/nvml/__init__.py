"""The devices of this node as NVML has them; the only package that knows pynvml."""

from gpuwise.collect.nvml.devices import Nvml

__all__ = ["Nvml"]
