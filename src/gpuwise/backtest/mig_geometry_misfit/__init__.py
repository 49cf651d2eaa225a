"""Backtest `mig`: the fewest GPUs for a demand of MIG slices."""
