"""Backtest `mig`: the fewest GPUs that serve a demand with MIG slices."""
