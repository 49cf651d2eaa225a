"""Prices: the shipped file is complete and plausible; an invalid file is an error with place and hint."""

from pathlib import Path

import pytest

from gpuwise.model.errors import InputError
from gpuwise.model.gpu import GPU_TYPES
from gpuwise.model.inventory import CapacityType
from gpuwise.sources.prices import read_prices

HEADER = "gpu_type,capacity_type,usd_per_gpu_h\n"


def written(tmp_path: Path, rows: str, header: str = HEADER) -> Path:
    path = tmp_path / "mine.csv"
    path.write_text(header + rows)
    return path


def test_every_gpu_type_with_a_public_list_price_has_a_shipped_price():
    book = read_prices(None)
    without = {gpu.name for gpu in GPU_TYPES if book.price(gpu.name, CapacityType.ON_DEMAND) is None}
    assert without == {"A30", "H100-96GB", "GH200-96GB", "GB200-186GB", "B300-269GB"}
    assert "list prices" in book.source
    assert "2026-07-20" in book.source


def test_shipped_spot_and_reserved_cost_less_than_on_demand():
    book = read_prices(None)
    for (gpu_type, capacity_type), usd in book.usd_per_gpu_h.items():
        on_demand = book.price(gpu_type, CapacityType.ON_DEMAND)
        assert (capacity_type is CapacityType.ON_DEMAND) or usd < on_demand
        assert 0.1 < usd < 20


def test_every_shipped_row_has_a_date_and_a_source():
    text = (Path(__file__).parents[2] / "src/gpuwise/sources/prices.csv").read_text().splitlines()
    assert text[0] == "gpu_type,capacity_type,usd_per_gpu_h,as_of,source"
    for line in text[1:]:
        _, capacity_type, _, as_of, source = line.split(",")
        assert as_of.startswith("202")
        assert source.startswith("estimate: ") is (capacity_type != "on-demand")


def test_a_users_file_replaces_all_shipped_prices(tmp_path):
    book = read_prices(written(tmp_path, "L4,on-demand,0.5,2026-11,contract\n", HEADER.strip() + ",as_of,source\n"))
    assert book.usd_per_gpu_h == {("L4", CapacityType.ON_DEMAND): 0.5}
    assert book.source == "price file mine.csv"
    assert book.price("T4", CapacityType.ON_DEMAND) is None


def test_an_unlabelled_node_is_priced_as_on_demand(tmp_path):
    assert read_prices(written(tmp_path, "L4,on-demand,0.5\n")).price("L4", None) == 0.5


@pytest.mark.parametrize(
    ("rows", "parts"),
    [
        ("L4,on-demand,0.5\nL4,spot,-1\n", ["line 3", "usd_per_gpu_h", "'-1'"]),
        ("L4,on-demand,3_500\n", ["line 2", "usd_per_gpu_h", "'3_500'"]),
        ("L4,on-demand,-0.1\n", ["line 2", "usd_per_gpu_h", "'-0.1'"]),
        ("L4,on-demand,nan\n", ["usd_per_gpu_h", "'nan'"]),
        ("L4,on-demand,1e300\n", ["line 2", "usd_per_gpu_h", "'1e300'", "more than 100,000 US dollars"]),
        ("L4,on-demand,inf\n", ["usd_per_gpu_h", "'inf'"]),
        ("L4,on-demand,\n", ["usd_per_gpu_h", "''"]),
        ("L4,on-demand\n", ["usd_per_gpu_h", "''"]),
        ('L4,on-demand,"1,5"\n', ["usd_per_gpu_h", "'1,5'"]),
        ("L4,on-demand,1,000\n", ["line 2", "'000'", "beyond the last column"]),
        ("H900,on-demand,1\n", ["line 2", "gpu_type", "'H900'", "A100-80GB"]),
        ("L4,preemptible,1\n", ["line 2", "capacity_type", "'preemptible'", "on-demand, spot, reserved"]),
        ("L4,on-demand,1\nL4,on-demand,2\n", ["line 3", "already"]),
        ("", ["contains no price"]),
    ],
)
def test_an_invalid_row_is_named_by_file_line_and_field(tmp_path, rows, parts):
    with pytest.raises(InputError) as refused:
        read_prices(written(tmp_path, rows))
    message = str(refused.value)
    assert "mine.csv" in message
    assert [part for part in parts if part not in message] == []
    assert refused.value.hint


def test_a_missing_column_is_named(tmp_path):
    with pytest.raises(InputError, match="capacity_type"):
        read_prices(written(tmp_path, "L4,1\n", "gpu_type,usd_per_gpu_h\n"))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.csv"):
        read_prices(tmp_path / "none.csv")


def test_a_binary_file_is_an_error(tmp_path):
    path = tmp_path / "blob.csv"
    path.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(InputError, match="cannot be read"):
        read_prices(path)


def test_a_price_of_0_is_a_price(tmp_path):
    assert read_prices(written(tmp_path, "L4,on-demand,0\n")).price("L4", None) == 0.0


@pytest.mark.parametrize("column", ["currency", "Currency", " CURRENCY", "currency_code"])
def test_a_price_in_euros_is_refused(tmp_path, column):
    path = written(tmp_path, "L4,on-demand,0.5,EUR\n", f"{HEADER.strip()},{column}\n")
    with pytest.raises(InputError, match=r"line 2: currency\w* is 'EUR'"):
        read_prices(path)


def test_two_columns_of_one_name_are_refused(tmp_path):
    path = written(tmp_path, "L4,on-demand,0.5,5\n", HEADER.strip() + ",usd_per_gpu_h\n")
    with pytest.raises(InputError, match=r"line 1: the column 'usd_per_gpu_h' is given twice"):
        read_prices(path)


def test_blank_cells_after_the_last_column_are_ignored(tmp_path):
    assert read_prices(written(tmp_path, "L4,on-demand,0.5,,\n")).price("L4", None) == 0.5


@pytest.mark.parametrize("currency", ["USD", "usd", ""])
def test_a_price_in_dollars_may_say_so(tmp_path, currency):
    path = written(tmp_path, f"L4,on-demand,0.5,{currency}\n", HEADER.strip() + ",currency\n")
    assert read_prices(path).price("L4", None) == 0.5


PLACES = """gpu_type,capacity_type,usd_per_gpu_h,region,zone
L4,spot,0.5,,
L4,spot,0.4,eu-1,
L4,spot,0.3,eu-1,eu-1b
L4,spot,0.2,,us-1a
"""


@pytest.mark.parametrize(
    ("region", "zone", "usd"),
    [
        (None, None, 0.5),
        ("eu-2", "eu-2a", 0.5),
        ("eu-1", None, 0.4),
        ("eu-1", "eu-1a", 0.4),
        ("eu-1", "eu-1b", 0.3),
        ("eu-2", "eu-1b", 0.5),  # the zone's price is of another region
        ("us-1", "us-1a", 0.2),
    ],
)
def test_the_most_specific_price_counts(tmp_path, region, zone, usd):
    book = read_prices(written(tmp_path, PLACES, ""))
    assert book.price("L4", CapacityType.SPOT, region=region, zone=zone) == usd
    assert book.price("L4", CapacityType.ON_DEMAND, region=region, zone=zone) is None


def test_a_price_of_one_place_is_not_that_of_others(tmp_path):
    book = read_prices(written(tmp_path, "gpu_type,capacity_type,usd_per_gpu_h,zone\nL4,spot,0.4,eu-1a\n", ""))
    assert book.price("L4", CapacityType.SPOT, zone="eu-1a") == 0.4
    assert book.price("L4", CapacityType.SPOT, region="eu-1") is None
    assert book.price("L4", CapacityType.SPOT) is None


def test_a_place_given_twice_is_refused_by_line(tmp_path):
    with pytest.raises(InputError, match="line 6: L4 spot eu-1 eu-1b already has a price"):
        read_prices(written(tmp_path, PLACES + "L4,spot,0.1,eu-1,eu-1b\n", ""))


def test_prices_of_places_are_part_of_the_version(tmp_path):
    versions = {read_prices(written(tmp_path, text, "")).version for text in (PLACES, PLACES.replace("0.3", "0.35"))}
    assert len(versions) == 2
