"""Checks of manifests before they are deployed: residency, labels, budgets, cost, and GPUs that are wasted by design.

Forbidden here: reading files or a cluster, and a clock; the command line passes what is checked.
"""
