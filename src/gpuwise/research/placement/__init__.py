"""Where pods go so that the fewest GPUs are left that nobody can use."""
