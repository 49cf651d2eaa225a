"""Compares the exporter with nvidia-smi on a real GPU; `make validate-gpu` writes docs/validation.md."""
