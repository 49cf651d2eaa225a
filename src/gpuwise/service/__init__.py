"""The page, the JSON API and gpuwise's own metrics."""
