"""The exporter beside the driver's own tools on a real GPU; `make validate-gpu` writes docs/validation.md."""
