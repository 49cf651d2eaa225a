"""Sources of usage, inventory and prices: Prometheus, the Kubernetes API, recordings, traces and CSV files.

Forbidden here: deciding anything, and writing to a cluster.
"""
