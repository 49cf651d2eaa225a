"""Assigns MIG slices of GPUs to pods."""
