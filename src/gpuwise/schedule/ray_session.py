"""Starting Ray so that nobody else can use it; Ray reads how it authenticates while it is imported, so before that."""

import os
import secrets
import typing

if typing.TYPE_CHECKING:
    from gpuwise.schedule.on_ray import RayExecutor


def start(address: str | None, workers: int | None) -> "RayExecutor":
    """Start a local Ray, or join a cluster.

    A local one gets a token of its own that lives as long as it does: whoever reaches a Ray without one runs code as us
    (CVE-2023-48022), and it is off by default. A cluster's own setting is respected: RAY_AUTH_MODE and RAY_AUTH_TOKEN.

    Args:
        address: of the cluster, None for a local one.
        workers: CPUs of the local one, None for all.
    """
    if address is None and "RAY_AUTH_MODE" not in os.environ:
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    from gpuwise.schedule.on_ray import RayExecutor  # noqa: PLC0415 - see above; and it takes 1 s

    return RayExecutor(address, workers)
