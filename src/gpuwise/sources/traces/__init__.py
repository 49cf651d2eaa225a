"""Traces: one table of samples of many pods, read as usage."""
