"""Backtest `memory`: memory limits for the next hour, on telemetry of pods."""
