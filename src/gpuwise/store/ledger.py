"""Forwards to `gpuwise.memory.ledger`."""

from gpuwise.memory.ledger import SqliteLedger

__all__ = ["SqliteLedger"]
