"""Failovers on real processes: `python -m tests.failovers 50`."""
