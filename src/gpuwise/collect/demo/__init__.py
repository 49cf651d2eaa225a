"""A synthetic node to try the exporter without a GPU: each value of a real board is reported by one of its cards."""

from gpuwise.collect.demo.node import DemoDevices, demo

__all__ = ["DemoDevices", "demo"]
