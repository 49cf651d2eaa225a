"""Classifies the requests in the log of an API server."""

_REVIEWS = ("/selfsubjectaccessreviews", "/selfsubjectreviews")


def changes(request):
    """Whether a request may change something; a review of the own identity is a POST that stores nothing."""
    return request.verb not in ("get", "list", "watch") and not request.path.endswith(_REVIEWS)


def effects(request):
    """Whether a request may change anything other than gpuwise's own ConfigMap and Lease."""
    return changes(request) and "/configmaps" not in request.path and "/leases" not in request.path
