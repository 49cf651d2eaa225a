"""Where a pod that waits fits, and the fewest moves that make space for it."""
