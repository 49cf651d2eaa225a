"""The inventory: nodes, workloads, namespaces and policies as the Kubernetes API, or a recording of it, lists them."""
