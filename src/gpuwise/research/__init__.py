"""Engines that a backtest plays and no method calls yet. Pure, as the engines are.

An engine moves to `gpuwise.recommend.engines` with the method that calls it; `gpuwise.recommend` does not import this.
"""
