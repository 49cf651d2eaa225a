"""Checks of manifests before they are deployed: what a team should know before gpuwise or the bill says it."""
