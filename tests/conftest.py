"""Paths to the public traces, and fixtures that every room's tests share."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from tests.cluster_under_test import refuse_several_processes, skip_what_only_the_emulator_can, start_cluster

__all__ = ["start_cluster"]

# Two busy cores make any deadline a coin toss; a fixed seed makes a red run replay.
settings.register_profile("gpuwise", deadline=None, derandomize=True)
settings.load_profile("gpuwise")

# One worker of pytest-xdist a core: threads of BLAS beside them would wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # ray.init would otherwise leave a token in the home folder

REPOSITORY = Path(__file__).parents[1]


def pytest_configure(config):
    refuse_several_processes(config)
    config.addinivalue_line(
        "markers", "emulator_only(reason=...): cannot run on the cluster of GPUWISE_TEST_KUBECONFIG"
    )


def pytest_collection_modifyitems(items):
    skip_what_only_the_emulator_can(items)


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
