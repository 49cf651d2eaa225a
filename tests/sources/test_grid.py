"""Grid intensities: the shipped values are plausible and have a source; an invalid file is an error with its place."""

from pathlib import Path

import pytest

from gpuwise.model.errors import InputError
from gpuwise.sources.grid import read_grid, read_intensities, stated


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


def test_hours_of_a_day_with_a_figure_of_their_own_count_in_its_mean(tmp_path):
    """Noon and the hour after it at 0.1 instead of 0.4: (22 x 0.4 + 2 x 0.1) / 24 = 0.375."""
    path = tmp_path / "grid.csv"
    rows = ["home,,0.4,2025,the utility", "home,12,0.1,,", "home,13,0.1,,", "away,,0.2,2024,a table"]
    path.write_text("\n".join(["region,hour,kg_co2e_per_kwh,as_of,source", *rows]))
    found = read_intensities(path)
    assert found["home"].kg_co2e_per_kwh == pytest.approx(0.375)
    assert found["away"].kg_co2e_per_kwh == 0.2
    assert (
        stated(found) == "Grid intensity: a table, as of 2024; the utility, as of 2025, of hours by the mean of a day"
    )
    assert stated({}) == "Grid intensity: not known for any of these regions"


def test_hours_without_a_figure_for_the_others_are_an_error(tmp_path):
    path = tmp_path / "grid.csv"
    path.write_text("region,hour,kg_co2e_per_kwh\nhome,12,0.1\n")
    with pytest.raises(InputError, match="'home' has 1 of 24 hours"):
        read_intensities(path)


@pytest.mark.parametrize("hour", ["24", "-1", "noon", "1.5"])
def test_an_hour_that_does_not_exist_is_an_error(tmp_path, hour):
    path = tmp_path / "grid.csv"
    path.write_text(f"region,hour,kg_co2e_per_kwh\nhome,{hour},0.1\n")
    with pytest.raises(InputError, match=rf"line 2: hour is '{hour}'"):
        read_intensities(path)
