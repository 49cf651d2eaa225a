"""The examples, a recorded fleet to use them with, and fixtures of the helm and e2e tests."""

from pathlib import Path

import pytest
from tests.conftest import REPOSITORY
from tests.e2e.conftest import gpuwise
from tests.helm.conftest import helm
from tests.recordings import NOW_S, record_fleet

__all__ = ["gpuwise", "helm"]

EXAMPLES = REPOSITORY / "examples"


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Flags with which a command reads a simulated fleet of six nodes in two regions."""
    folder: Path = tmp_path_factory.mktemp("recording")
    record_fleet(folder, nodes=6, days=15)
    return ["--recording", str(folder), "--now", str(NOW_S), "--quiet"]
