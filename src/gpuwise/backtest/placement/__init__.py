"""Backtest `packing`: where pods go, on a trace of arrivals."""
