"""Paths of the public traces, fixtures that all packages share, and the settings of Hypothesis."""

import os
import secrets
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.cluster_under_test import require_one_process, skip_emulator_only, start_cluster
from tests.ray_head import ray_head

__all__ = ["ray_head", "start_cluster"]

SEED = "GPUWISE_TEST_SEED"
"""Environment variable: seed of Hypothesis. `make search` sets new ones; without it, every run has equal examples."""

# With two busy cores, any deadline would fail at random, and so would the one for drawing the examples.
settings.register_profile(
    "gpuwise",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=SEED not in os.environ,
    print_blob=True,
)
settings.load_profile("gpuwise")

# pytest-xdist runs one worker per core: additional BLAS threads would compete with them.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Without a token, anyone who can connect to Ray can run code in it. The workers of xdist inherit this token.
os.environ.setdefault("RAY_AUTH_MODE", "token")
os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))

REPOSITORY = Path(__file__).parents[1]


def pytest_configure(config: pytest.Config) -> None:
    """Set the seed of Hypothesis from the environment, as --hypothesis-seed does."""
    require_one_process(config)
    config.addinivalue_line(
        "markers", "emulator_only(reason=...): cannot run on the cluster of GPUWISE_TEST_KUBECONFIG"
    )
    if SEED in os.environ and config.getoption("hypothesis_seed", None) is None:
        config.option.hypothesis_seed = os.environ[SEED]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    skip_emulator_only(items)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how to repeat a failed run with the same examples."""
    if SEED in os.environ and terminalreporter.stats.get("failed"):
        terminalreporter.write_line(
            f"to repeat this run with the same Hypothesis examples: make search FROM={os.environ[SEED]} SEEDS=1"
        )


@pytest.fixture(scope="session")
def traces() -> Path:
    """The directory of public traces."""
    named = os.environ.get("GPUWISE_TRACES")
    folder = Path(named) if named else REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no public traces in {folder}: set GPUWISE_TRACES (README.md, 'Public traces', lists the sources)")
    return folder
