"""The chart's Grafana dashboards as code: `python -m helm.dashboards` writes helm/gpuwise/files/dashboards.

Each module is one dashboard and answers one question.
"""
