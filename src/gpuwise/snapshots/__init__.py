"""Snapshots: all that a decision depends on, in one file, and what another policy would decide on it.

Forbidden here: another way to decide than that of the loop.
"""
