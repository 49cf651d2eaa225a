"""The cases of public bug reports beside the repository: small inputs, each with a README that says what is right."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "shared" / "cases"


def case_folder(group: str, name: str) -> Path:
    """The folder of one case; skips the test if it is not there.

    Args:
        group: "acting", "money" or "reading".
        name: of the case.
    """
    folder = Path(os.environ.get("GPUWISE_CASES", ROOT)) / group / name
    if not folder.is_dir():
        pytest.skip(f"no case in {folder}: set GPUWISE_CASES to the folder of the cases")
    return folder
