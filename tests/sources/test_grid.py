"""Grid intensities: the shipped values are plausible and have a source; an invalid file is an error with its place."""

from pathlib import Path

import pytest

from gpuwise.model.errors import InputError
from gpuwise.sources.grid import read_grid


def test_every_shipped_value_is_plausible_and_has_a_source():
    book = read_grid(None)
    assert {"us-east1", "us-east-1", "eastus"} <= set(book)
    assert all(0.001 < kg < 1.0 for kg in book.values())
    text = (Path(__file__).parents[2] / "src/gpuwise/sources/grid.csv").read_text().splitlines()
    assert all("Google Cloud" in line and ",2024," in line for line in text[1:])


def test_a_region_that_is_not_listed_is_unknown():
    assert "eu-west-1" not in read_grid(None)


def test_a_users_file_replaces_the_shipped_file(tmp_path):
    path = tmp_path / "grid.csv"
    path.write_text("region,kg_co2e_per_kwh\nhome,0.2\n")
    assert read_grid(path) == {"home": 0.2}


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("region\nhome\n", ["line 1", "'kg_co2e_per_kwh' is missing"]),
        ("region,kg_co2e_per_kwh\nhome,0\n", ["line 2", "kg_co2e_per_kwh is '0'"]),
        ("region,kg_co2e_per_kwh\nhome,0.2\nhome,0.3\n", ["line 3", "region is 'home'"]),
        ("region,kg_co2e_per_kwh\n,0.2\n", ["line 2", "region is ''"]),
        ("region,kg_co2e_per_kwh\n", ["contains no region"]),
    ],
)
def test_an_invalid_file_is_an_error_that_names_the_place(tmp_path, text, parts):
    path = tmp_path / "grid.csv"
    path.write_text(text)
    with pytest.raises(InputError) as refused:
        read_grid(path)
    assert all(word in str(refused.value) for word in parts)
