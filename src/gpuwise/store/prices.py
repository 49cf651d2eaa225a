"""Prices from a CSV file: gpu_type, capacity_type, usd_per_gpu_h; the shipped list prices where no file is named.

The shipped file's on-demand prices are AWS's list prices (us-east-1, largest instance of each GPU, per GPU). Its spot
prices are estimates from AWS's published average savings and its reserved ones from GCP's 1-year discount on the same
GPU, laid on the on-demand price; each row says so. A file of one's own replaces the shipped one as a whole.
"""

import csv
import io
import math
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import NoReturn

from gpuwise.model.errors import InputError
from gpuwise.model.gpu import GPU_TYPES, named
from gpuwise.model.inventory import CapacityType
from gpuwise.model.price import PriceBook

_COLUMNS = ("gpu_type", "capacity_type", "usd_per_gpu_h")


def read_prices(path: Path | None) -> PriceBook:
    """Read a price file.

    Args:
        path: a CSV file; None means the list prices shipped with gpuwise.

    Returns:
        Dollars per whole GPU and hour, by GPU type and capacity type.

    Raises:
        InputError: the file cannot be read as prices; names file, line, field, the text and the mend.
    """
    if path is None:
        text = resources.files("gpuwise.store").joinpath("prices.csv").read_text(encoding="utf-8")
        rows = list(csv.DictReader(io.StringIO(text)))
        dates = sorted({row["as_of"] for row in rows if row["capacity_type"] == CapacityType.ON_DEMAND})
        source = f"list prices shipped with gpuwise (AWS us-east-1, as of {dates[-1]}; spot and reserved are estimates)"
        return PriceBook(_parse("the shipped prices.csv", text), source)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"price file {path} cannot be read ({error})", mend="name a readable CSV file") from error
    return PriceBook(_parse(str(path), text), f"price file {path.name}")


def _parse(name: str, text: str) -> dict[tuple[str, CapacityType], float]:
    reader = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True)
    header = tuple(reader.fieldnames or ())
    missing = [column for column in _COLUMNS if column not in header]
    if missing:
        raise InputError(
            f"{name}, line 1: the column {missing[0]!r} is missing from {','.join(header)!r}",
            mend=f"begin the file with {','.join(_COLUMNS)}",
        )
    prices: dict[tuple[str, CapacityType], float] = {}
    for row in reader:
        where = f"{name}, line {reader.line_num}"
        key = (_gpu(where, row), _capacity(where, row))
        if key in prices:
            raise InputError(f"{where}: {key[0]} {key[1]} has a price already", mend="keep one row of each pair")
        prices[key] = _dollars(where, row)
    if not prices:
        raise InputError(f"{name} holds no price", mend="add a row such as H100-80GB,on-demand,6.88")
    return prices


def _gpu(where: str, row: Mapping[str, str | None]) -> str:
    text = (row["gpu_type"] or "").strip()
    if named(text) is None:
        _refuse(where, "gpu_type", text, "use one of " + ", ".join(gpu.name for gpu in GPU_TYPES))
    return text


def _capacity(where: str, row: Mapping[str, str | None]) -> CapacityType:
    text = (row["capacity_type"] or "").strip()
    if text not in set(CapacityType):
        _refuse(where, "capacity_type", text, "use one of " + ", ".join(CapacityType))
    return CapacityType(text)


def _dollars(where: str, row: Mapping[str, str | None]) -> float:
    text = (row["usd_per_gpu_h"] or "").strip()
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (0.0 < value < math.inf):
        _refuse(where, "usd_per_gpu_h", text, "write dollars per GPU and hour above 0, such as 6.88")
    return value


def _refuse(where: str, field: str, text: str, mend: str) -> NoReturn:
    raise InputError(f"{where}: {field} is {text!r}", mend=mend)
