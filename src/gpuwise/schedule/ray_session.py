"""Starts Ray with authentication; Ray reads its authentication settings on import, so they are set before it."""

import os
import secrets
import typing

if typing.TYPE_CHECKING:
    from gpuwise.schedule.on_ray import RayExecutor


def start(address: str | None, workers: int | None) -> "RayExecutor":
    """Start a local Ray, or join a cluster.

    A local Ray gets its own token for its lifetime: without one, anyone who can connect runs code as this user
    (CVE-2023-48022), and Ray's default is no token. A cluster's settings are kept: RAY_AUTH_MODE and RAY_AUTH_TOKEN.

    Args:
        address: of the cluster, None for a local Ray.
        workers: CPUs of the local one, None for all.
    """
    if address is None and "RAY_AUTH_MODE" not in os.environ:
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    from gpuwise.schedule.on_ray import RayExecutor  # noqa: PLC0415 - see the module docstring; the import takes 1 s

    return RayExecutor(address, workers)
