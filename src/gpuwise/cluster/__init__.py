"""The Kubernetes API; the only package that knows the `kubernetes` client.

Forbidden here: knowing what the cluster is used for.
"""

from gpuwise.cluster.client import PAGE, KubernetesCluster

__all__ = ["PAGE", "KubernetesCluster"]
