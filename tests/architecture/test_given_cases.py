"""Every given case has a test, and the list of them is complete."""

from pathlib import Path

import pytest
from tests.given_cases import CASES, NAMES, WAITING, files_by_case

TESTS = Path(__file__).parents[1]


def test_every_case_is_tested():
    assert [name for name, files in files_by_case(TESTS).items() if not files] == list(WAITING)


@pytest.mark.parametrize("kind", NAMES)
def test_the_list_is_that_of_the_folder(kind):
    if not (CASES / kind).is_dir():
        pytest.skip(f"no cases in {CASES / kind}: set GPUWISE_CASES to the folder of cases")
    folders = {one.name for one in (CASES / kind).iterdir() if one.is_dir() and not one.name.startswith((".", "_"))}
    assert folders <= set(NAMES[kind])
