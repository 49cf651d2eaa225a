"""What is installed on a machine, so that only machines with the same gpuwise take part in one computation."""

import hashlib
import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path

import gpuwise


@cache
def installation() -> Mapping[str, str]:
    """The versions on this machine that a result depends on, by name."""
    major, minor, _ = platform.python_version_tuple()
    return {
        "gpuwise": gpuwise.__version__,
        "build": _build(),
        "python": f"{major}.{minor}",
        "numpy": version("numpy"),
    }


def differences(wanted: Mapping[str, str], found: Mapping[str, str]) -> str:
    """Describe how a machine differs from this one; "" if it does not.

    Args:
        wanted: facts of this machine.
        found: facts of the other one.

    Returns:
        Such as "gpuwise 0.2.0 instead of 0.3.0, recording 5f3a instead of 77b0".
    """
    names = dict.fromkeys((*wanted, *found))
    pairs = ((name, wanted.get(name, "none"), found.get(name, "none")) for name in names)
    return ", ".join(f"{name} {there} instead of {here}" for name, here, there in pairs if here != there)


def _build() -> str:
    """Return a digest of the source files: two builds of one version may differ."""
    root = Path(gpuwise.__file__).parent
    digest = hashlib.sha256()
    for file in sorted(root.rglob("*.py")):
        digest.update(f"{file.relative_to(root).as_posix()}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:12]
