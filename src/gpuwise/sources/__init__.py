"""Sources of usage, inventory and prices: Prometheus, the Kubernetes API, recordings, traces and CSV files.

This package decides nothing and writes nothing to a cluster.
"""
