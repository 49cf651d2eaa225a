"""Where work runs: in this process, or on Ray. Effects do not: one process has the ledger and the right to write.

Forbidden here: knowing what the work is.
"""
