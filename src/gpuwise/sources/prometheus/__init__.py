"""Prometheus and servers with its API: from the series of any exporter to usage on one grid, in base units.

`usage` is the source. `reader` chooses between `remote_read` and `ranges`. `client` is the only file that uses httpx.
`names`, `units`, `cards`, `pods`, `nodes` and `conversion` interpret the series; `examination` and `absence` say what a
server has and lacks.
"""
