"""Lists fit the terminal, and names stay whole."""

import pytest

from gpuwise.cli.listing import Column, Row, folded, listing

COLUMNS = (Column("ID"), Column("USD/month", right=True), Column("What"))


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize(
    "name",
    [
        "ns/Deployment/chat",
        f"{'n' * 63}/StatefulSet/{'team-search-' * 5}end",
        f"ns/Deployment/{'x' * 253}",
        f"{'a-b.' * 60}",
    ],
)
def test_a_name_is_whole_when_its_lines_are_put_together(name, width):
    lines = list(folded(name, width))
    assert all(len(line) <= width for line in lines)
    assert "".join(line.removeprefix("  ") if at else line for at, line in enumerate(lines)) == name
    if len(name) <= width:
        assert lines == [name]


def test_a_long_name_breaks_only_at_its_slashes():
    namespace, name = "n" * 60, "team-search-" * 5 + "end"
    assert list(folded(f"{namespace}/Deployment/{name}", 80)) == [f"{namespace}/Deployment/", f"  {name}"]


@pytest.mark.parametrize("width", [40, 80])
def test_cells_are_aligned_prose_wraps_and_commands_do_not(width):
    prose = "holds more than it uses: 8 GPUs to 1 GPU, which nobody ever uses at the same time. Owner: search"
    rows = [
        Row("ns/Deployment/a", ("r-1", "$5", prose), ("gpuwise undo a-0123456789",)),
        Row("ns/Deployment/b", ("r-22", "$40,179", "short")),
    ]
    lines = listing("Title (2)", COLUMNS, rows, width=width).plain.splitlines()
    assert lines[0] == "Title (2)"
    assert all(len(line) <= width for line in lines)
    assert "  gpuwise undo a-0123456789" in lines
    assert any(line.startswith("  r-1          $5") for line in lines)
    assert any(line.startswith("  r-22    $40,179") for line in lines)
    assert " ".join(prose.split()) in " ".join(" ".join(lines).split())


def test_nothing_to_list_is_a_title_and_its_columns():
    assert listing("None", COLUMNS, (), width=80).plain.splitlines() == ["None", "  ID  USD/month  What"]
