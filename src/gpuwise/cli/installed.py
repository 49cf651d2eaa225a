"""Which packages of the extra `fleet` are installed: the node exporter installs without them."""

import importlib.metadata
import re
from collections.abc import Iterator

_NAME = re.compile(r"[A-Za-z0-9._-]+")
_FLEET = re.compile(r"""extra\s*==\s*['"]fleet['"]""")


def missing() -> list[str]:
    """The packages of the extra `fleet` that are not installed."""
    return [name for name in _fleet() if not _has(name)]


def _fleet() -> Iterator[str]:
    for requirement in importlib.metadata.requires("gpuwise") or ():
        name = _NAME.match(requirement)
        if name and _FLEET.search(requirement):
            yield name[0]


def _has(name: str) -> bool:
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
