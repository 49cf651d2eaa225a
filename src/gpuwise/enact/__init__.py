"""The only writer to a cluster: each effect has its intent in the ledger first, a precondition on it, and an undo.

Forbidden here: choosing what to do.
"""
