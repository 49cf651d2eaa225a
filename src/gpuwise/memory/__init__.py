"""What gpuwise stores between runs: the ledger with its anchor in the cluster, and checkpoints of usage.

Forbidden here: deciding anything, and writing anything else to a cluster.
"""
