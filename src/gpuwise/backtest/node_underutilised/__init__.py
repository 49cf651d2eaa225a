"""The backtest of freeing nodes."""
