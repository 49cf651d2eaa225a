"""Reading traces: errors name the file, the column and the line."""

import gzip

import numpy as np
import pytest

from gpuwise.backtest.columns import names_columns, read_columns
from gpuwise.model.errors import InputError


@pytest.fixture
def file(tmp_path):
    def write(text, name="t.csv"):
        path = tmp_path / name
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        return path

    return write


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_columns_are_read_by_name_in_any_order(file, name):
    path = file("b,a,extra\n1.5,x,9\n2,y,9\n", name)
    found = read_columns(path, {"a": str, "b": float})
    assert list(found) == ["a", "b"]
    assert list(found["a"]) == ["x", "y"]
    np.testing.assert_array_equal(found["b"], [1.5, 2.0])
    assert names_columns(path, ("a", "extra"))
    assert not names_columns(path, ("a", "c"))


def test_an_optional_column_may_be_missing(file):
    assert set(read_columns(file("a\n1\n"), {"a": int}, {"b": int})) == {"a"}
    assert set(read_columns(file("a,b\n1,2\n"), {"a": int}, {"b": int})) == {"a", "b"}


def test_a_blank_is_accepted_only_if_blanks_are_allowed(file):
    path = file("a,b\n1,\n")
    assert np.isnan(read_columns(path, {"b": float}, blank=True)["b"]).all()
    with pytest.raises(InputError, match=r"line 2: b is ''"):
        read_columns(path, {"b": float})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no column a"),
        ("a\n", "a header but no rows"),
        ("b\n1\n", "has no column a; its columns are b"),
        ("a\nx\n", "line 2: a is 'x'"),
        ("a\n1\nnan\n", "line 3: a is 'nan'"),
        ("a\ninf\n", "line 2: a is 'inf'"),
        ("a\n1.5\n", "line 2: a is '1.5'; write a whole number"),
        ("a,b\n1\n", "line 2: 1 cells under a header of 2"),
        ('a\n"1\n', "cannot be read"),
    ],
)
def test_errors_in_files_have_their_place(file, text, message):
    with pytest.raises(InputError, match=message):
        read_columns(file(text), {"a": int})


def test_a_missing_file_or_invalid_gzip_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"none\.csv cannot be read: No such file"):
        read_columns(tmp_path / "none.csv", {"a": int})
    (tmp_path / "bad.csv.gz").write_bytes(b"plain")
    with pytest.raises(InputError, match=r"bad\.csv\.gz cannot be read"):
        read_columns(tmp_path / "bad.csv.gz", {"a": int})
