"""Engines that backtests replay and no method calls yet. Pure, like the engines of `gpuwise.recommend`.

When a method needs an engine, the engine moves to `gpuwise.recommend.engines`; `gpuwise.recommend` does not import this
package.
"""
