"""Grid intensities: what is shipped is sensible and says whence, and a file that is wrong says where."""

from pathlib import Path

import pytest

from gpuwise.model.errors import InputError
from gpuwise.sources.grid import read_grid


def test_every_shipped_figure_is_that_of_a_grid_and_says_whence():
    book = read_grid(None)
    assert {"us-east1", "us-east-1", "eastus"} <= set(book)
    assert all(0.001 < kg < 1.0 for kg in book.values())
    text = (Path(__file__).parents[2] / "src/gpuwise/sources/grid.csv").read_text().splitlines()
    assert all("Google Cloud" in line and ",2024," in line for line in text[1:])


def test_a_region_that_is_not_listed_is_unknown():
    assert "eu-west-1" not in read_grid(None)


def test_ones_own_file_replaces_the_shipped_one(tmp_path):
    path = tmp_path / "grid.csv"
    path.write_text("region,kg_co2e_per_kwh\nhome,0.2\n")
    assert read_grid(path) == {"home": 0.2}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("region\nhome\n", ["line 1", "'kg_co2e_per_kwh' is missing"]),
        ("region,kg_co2e_per_kwh\nhome,0\n", ["line 2", "kg_co2e_per_kwh is '0'"]),
        ("region,kg_co2e_per_kwh\nhome,0.2\nhome,0.3\n", ["line 3", "region is 'home'"]),
        ("region,kg_co2e_per_kwh\n,0.2\n", ["line 2", "region is ''"]),
        ("region,kg_co2e_per_kwh\n", ["holds no region"]),
    ],
)
def test_a_file_that_is_wrong_says_where(tmp_path, text, said):
    path = tmp_path / "grid.csv"
    path.write_text(text)
    with pytest.raises(InputError) as refused:
        read_grid(path)
    assert all(word in str(refused.value) for word in said)
