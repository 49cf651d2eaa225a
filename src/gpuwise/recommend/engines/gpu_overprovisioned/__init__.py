"""The MIG slice that a workload needs."""
