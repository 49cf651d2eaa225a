"""Where usage, inventory and prices are read: Prometheus, the Kubernetes API, recordings, traces, CSV files.

Forbidden here: deciding anything, and writing to a cluster.
"""
