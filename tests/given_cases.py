"""Small inputs modelled on public reports, outside of the repository: in $GPUWISE_CASES or ../shared/cases."""

import os
from pathlib import Path

import pytest

CASES = Path(os.environ.get("GPUWISE_CASES") or Path(__file__).parents[2] / "shared" / "cases")


def given_case(kind: str, name: str) -> Path:
    """Return the folder of a case; the test is skipped if it is not on this machine."""
    folder = CASES / kind / name
    if not folder.is_dir():
        pytest.skip(f"no case {kind}/{name} in {CASES}: set GPUWISE_CASES to the folder of cases")
    return folder
