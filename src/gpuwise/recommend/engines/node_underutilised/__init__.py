"""Which nodes to free and which pods to move, for all nodes of a kind at once."""
