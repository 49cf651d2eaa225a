"""Prometheus and what speaks its API: from whichever exporter's series to usage on one grid, in base units.

`usage` is the source; `reader` chooses between `remote_read` and `ranges`; `client` is the only file that knows httpx;
`names`, `units`, `cards`, `pods` and `nodes` know what series mean.
"""
