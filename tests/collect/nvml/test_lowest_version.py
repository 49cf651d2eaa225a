"""The lowest nvidia-ml-py that pyproject.toml allows has every name that the exporter uses."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import REPOSITORY

TESTS = ("test_devices.py", "test_failing_calls.py", "test_functions.py")


@pytest.mark.parts
def test_the_exporter_reads_every_value_with_the_lowest_version(tmp_path: Path):
    found = re.search(r'"nvidia-ml-py>=([\d.]+)"', (REPOSITORY / "pyproject.toml").read_text())
    assert found
    install = ["uv", "pip", "install", "--quiet", "--no-deps", "--target", tmp_path, f"nvidia-ml-py=={found[1]}"]
    subprocess.run([sys.executable, "-m", *install], check=True)
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, *(Path(__file__).parent / name for name in TESTS)],
        cwd=REPOSITORY, env=os.environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    where = "import pynvml; print(pynvml.__file__)"
    loaded = subprocess.run(
        [sys.executable, "-c", where], env=os.environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True, check=True
    )
    assert loaded.stdout.decode().startswith(str(tmp_path))
