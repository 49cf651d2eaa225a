"""Classifies the requests in the log of an API server."""


def changes(request):
    """Whether a request may change something; a self subject access review is a POST that stores nothing."""
    return request.verb not in ("get", "list", "watch") and not request.path.endswith("/selfsubjectaccessreviews")


def effects(request):
    """Whether a request may change anything other than gpuwise's own ConfigMap and Lease."""
    return changes(request) and "/configmaps" not in request.path and "/leases" not in request.path
