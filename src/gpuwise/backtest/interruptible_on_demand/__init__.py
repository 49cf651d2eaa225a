"""Backtests `spot` and `spot-regions`: a job with a deadline, on traces of spot availability."""
