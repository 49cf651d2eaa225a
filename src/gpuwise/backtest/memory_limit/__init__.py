"""Backtest `memory`: the memory limit of the next hour, on telemetry of pods."""
