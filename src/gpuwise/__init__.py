"""gpuwise: find idle GPU money in a Kubernetes fleet, explain it, and fix it safely.

The product's table of contents is `gpuwise.pipeline.Pipeline.run_once`.
"""

__version__ = "0.1.0"
