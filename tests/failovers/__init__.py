"""Failovers while a write hangs: `make faults` runs 500 on the virtual clock and 50 on real processes."""
