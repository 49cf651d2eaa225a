"""What gpuwise remembers between runs: the ledger with its anchor in the cluster, and checkpoints of usage."""
