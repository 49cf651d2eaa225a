"""Names of release 0.1, forwarded: the sources are in `gpuwise.sources`, the ledger in `gpuwise.memory`."""
