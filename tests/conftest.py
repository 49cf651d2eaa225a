"""Paths to the public traces, and fixtures that every room's tests share."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Two busy cores make any deadline a coin toss; a fixed seed makes a red run replay.
settings.register_profile("gpuwise", deadline=None, derandomize=True)
settings.load_profile("gpuwise")

# One worker of pytest-xdist a core: threads of BLAS beside them would wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # ray.init would otherwise leave a token in the home folder

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def traces() -> Path:
    """The folder of public traces."""
    named = os.environ.get("GPUWISE_TRACES")
    folder = Path(named) if named else REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(
            f"no public traces in {folder}: set GPUWISE_TRACES (README.md, 'Public traces', says where each is had)"
        )
    return folder
