"""Where work runs: in this process, or on Ray. Writes never run there: one process owns the ledger and writes.

Forbidden here: knowledge of what the work is.
"""
