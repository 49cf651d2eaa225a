"""The devices of this node, read through NVML; the only package that imports pynvml."""

from gpuwise.collect.nvml.devices import Nvml

__all__ = ["Nvml"]
