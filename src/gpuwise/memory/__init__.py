"""What gpuwise stores between runs: the ledger with its anchor in the cluster, and checkpoints of usage.

This package decides nothing, and writes nothing else to a cluster.
"""
