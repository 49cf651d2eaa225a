"""Snapshots: all that a decision depends on, in one file, and what another policy would decide on it."""
