"""The record of a run on a real API server: its counts, and that other sections of the page stay."""

import pytest

from tests import conformance_record
from tests.conformance_record import BEGIN, END, section, write

OUTCOMES = {"tests/a.py::one": "passed", "tests/a.py::two[x]": "skipped", "tests/a.py::two[y]": "skipped"}
OUTCOMES |= {"tests/b.py::three": "failed", "tests/b.py::four": "skipped"}
REASONS = {"tests/a.py::two[x]": "emulator only: of this", "tests/a.py::two[y]": "emulator only: of this"}
REASONS |= {"tests/b.py::four": "no Prometheus"}


def test_each_file_is_a_row_and_each_reason_a_line():
    lines = section(OUTCOMES, REASONS, "v1.36.2 (linux/amd64)", 120.0).splitlines()
    assert lines[0].startswith("Server v1.36.2 (linux/amd64), 20")
    assert lines[0].endswith(", 2 minutes: 5 tests, 1 passed, 1 failed, 3 skipped.")
    assert "| `tests/a.py` | 1 | 1 | 0 | 2 |" in lines
    assert "| all | 2 | 1 | 1 | 3 |" in lines
    assert "- `tests/b.py::three`" in lines
    assert "- of this: `tests/a.py::two`" in lines
    assert "- no Prometheus: `tests/b.py::four`" in lines


def test_a_new_record_replaces_only_the_last(monkeypatch, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"# Title\n\n{BEGIN}\nold\n{END}\n\n## More\n")
    monkeypatch.setattr(conformance_record, "PAGE", page)
    write("new")
    write("newer")
    assert page.read_text() == f"# Title\n\n{BEGIN}\nnewer\n{END}\n\n## More\n"


def test_a_page_without_markers_is_not_changed(monkeypatch, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Title\n")
    monkeypatch.setattr(conformance_record, "PAGE", page)
    with pytest.raises(ValueError, match="has no line"):
        write("new")
    assert page.read_text() == "# Title\n"
