"""Backtests of sizes: the throughput predicted for MIG slices, and the slice that is emitted."""
