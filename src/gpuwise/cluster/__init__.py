"""Client of the Kubernetes API; the only package that imports the `kubernetes` client.

Forbidden here: knowledge of what the cluster is used for.
"""

from gpuwise.cluster.client import PAGE, KubernetesCluster

__all__ = ["PAGE", "KubernetesCluster"]
