"""Paths to the public traces, fixtures that the tests of every package share, and how Hypothesis draws."""

import os
import secrets
from pathlib import Path

import pytest
from hypothesis import settings

from tests.cluster_under_test import refuse_several_processes, skip_what_only_the_emulator_can, start_cluster
from tests.ray_head import ray_head

__all__ = ["ray_head", "start_cluster"]

SEED = "GPUWISE_TEST_SEED"
"""Environment variable: Hypothesis draws from this seed. CI takes a new one for each run; without it, the same examples
are drawn in every run."""

# Two busy cores make any deadline a coin toss.
settings.register_profile("gpuwise", deadline=None, derandomize=SEED not in os.environ, print_blob=True)
settings.load_profile("gpuwise")

# One worker of pytest-xdist a core: threads of BLAS beside them would wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Whoever reaches a Ray without a token runs code in it. The workers of xdist inherit this one.
os.environ.setdefault("RAY_AUTH_MODE", "token")
os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))

REPOSITORY = Path(__file__).parents[1]


def pytest_configure(config: pytest.Config) -> None:
    """Let Hypothesis draw from the seed that the environment names, as --hypothesis-seed does."""
    refuse_several_processes(config)
    config.addinivalue_line(
        "markers", "emulator_only(reason=...): cannot run on the cluster of GPUWISE_TEST_KUBECONFIG"
    )
    if SEED in os.environ and config.getoption("hypothesis_seed", None) is None:
        config.option.hypothesis_seed = os.environ[SEED]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    skip_what_only_the_emulator_can(items)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell how a red run is repeated with the same examples."""
    if SEED in os.environ and terminalreporter.stats.get("failed"):
        terminalreporter.write_line(
            f"Hypothesis drew from a seed; to draw the same: {SEED}={os.environ[SEED]} make test"
        )


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
