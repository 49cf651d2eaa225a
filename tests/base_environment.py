"""A virtual environment with gpuwise's base distribution alone, as a GPU node has it; it needs the package registry."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
CONSTRAINTS = REPOSITORY / ".ci" / "constraints.txt"
_SOURCES = ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in", "native", "src")
_NOT_SOURCES = shutil.ignore_patterns("*.so", "*.c", "*.egg-info", "__pycache__")


@dataclass(frozen=True)
class BaseEnvironment:
    """The environment.

    Attributes:
        folder: of the environment.
        packages: its site-packages.
    """

    folder: Path
    packages: Path

    @property
    def gpuwise(self) -> Path:
        """The command."""
        return self.folder / "bin" / "gpuwise"

    @property
    def installed_mib(self) -> float:
        """What the installation has added to the environment: the disk space of all files, with compiled bytecode."""
        files = [path.stat() for path in self.packages.rglob("*") if path.is_file()]
        return sum(file.st_blocks * 512 for file in files) / 2**20


def base_environment(folder: Path) -> BaseEnvironment:
    """Install gpuwise from a copy of the working tree, with the pinned packages, in a new environment without pip."""
    source, environment = folder / "source", folder / "environment"
    source.mkdir()
    for name in _SOURCES:
        origin = REPOSITORY / name
        if origin.is_dir():
            shutil.copytree(origin, source / name, ignore=_NOT_SOURCES)
        else:
            shutil.copy(origin, source / name)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    install = [Path(sys.executable).with_name("uv"), "pip", "install", "--quiet", "--compile-bytecode"]
    pinned = ["--build-constraint", CONSTRAINTS]
    libraries = ["--require-hashes", "--constraint", CONSTRAINTS, "--no-build", "--requirement", "pyproject.toml"]
    variables = os.environ | {"VIRTUAL_ENV": str(environment), "UV_LINK_MODE": "copy"}
    for arguments in ([*pinned, *libraries], [*pinned, "--no-deps", "."]):
        subprocess.run([*install, *arguments], cwd=source, env=variables, check=True, timeout=600)
    (packages,) = (environment / "lib").glob("python3.*/site-packages")
    return BaseEnvironment(environment, packages)
