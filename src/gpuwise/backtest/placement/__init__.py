"""Backtest `packing`: places pods on a trace of arrivals."""
