"""Backtest `idle`: when to stop an endpoint between two uses, on request traces."""
