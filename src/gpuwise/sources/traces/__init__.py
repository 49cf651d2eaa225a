"""Traces: one table with the samples of many pods, read as usage."""
