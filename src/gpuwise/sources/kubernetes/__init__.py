"""The inventory: nodes, workloads, namespaces and policies, from the Kubernetes API or from a recording of it."""
