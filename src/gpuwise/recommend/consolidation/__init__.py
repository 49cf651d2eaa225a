"""Which nodes can be given back when pods move together."""
