"""What the requests of an API server's log did."""


def changes(request):
    """Whether a request may change something; asking for one's own rights is a POST that keeps nothing."""
    return request.verb not in ("get", "list", "watch") and not request.path.endswith("/selfsubjectaccessreviews")


def effects(request):
    """Whether a request may change something besides the ConfigMap that remembers the ledger's head."""
    return changes(request) and "/configmaps" not in request.path
