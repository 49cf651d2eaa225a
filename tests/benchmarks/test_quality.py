"""The quality page: it has every policy with its figures, and a picture of them."""

from xml.etree import ElementTree as ET

from benchmarks.bars import Bar, bars
from benchmarks.quality import write

SVG = "{http://www.w3.org/2000/svg}"
FIGURE = {"value": 1.358, "low": 1.3, "high": 1.41}
FOUND = {
    "backtests": [
        {
            "backtest": "idle",
            "about": "When to stop.",
            "higher_is_better": False,
            "goals": [{"goal": "mean ratio <= 1.36", "value": 1.358, "met": True}],
            "results": [
                {
                    "backtest": "idle",
                    "label": "B = 300 s <held out>",
                    "policies": {
                        "gpuwise": {"figures": {"ratio": FIGURE, "starts": {"value": 3, "low": None, "high": None}},
                                    "seconds": 0.5},
                        "always-on": {"figures": {"ratio": {"value": 39.2, "low": None, "high": None}}, "seconds": 0.0},
                    },
                    "bound": {"ratio": 1.0},
                }
            ],
        }
    ]
}  # fmt: skip


def drawn(text: str) -> list[float]:
    return [float(one.get("width")) for one in ET.fromstring(text).iter(f"{SVG}rect")]


def test_every_policy_is_on_the_page_and_in_its_picture(tmp_path):
    write(FOUND, tmp_path)
    page = (tmp_path / "QUALITY.md").read_text()
    assert "| **gpuwise** | 1.358 (1.3 to 1.41) | 3 | 0.50 |" in page
    assert "| always-on | 39.2 |  | 0.00 |" in page
    assert "| mean ratio <= 1.36 | 1.358 | reached |" in page
    (picture,) = (tmp_path / "quality").glob("*.svg")
    assert f"quality/{picture.name}" in page
    ours, theirs = drawn(picture.read_text())
    assert 0 < ours < theirs


def test_rewriting_the_page_removes_old_pictures(tmp_path):
    write(FOUND, tmp_path)
    (tmp_path / "quality" / "gone.svg").write_text("")
    write(FOUND, tmp_path)
    assert len(list((tmp_path / "quality").iterdir())) == 1


def test_lengths_are_in_proportion_unless_the_span_is_wide():
    one, two = drawn(bars("", [Bar("a", 1.0, None, None, ours=True), Bar("b", 2.0, 1.5, 2.5, ours=False)]))
    assert two == 2 * one
    logarithmic = bars("", [Bar("a", 1.0, None, None, ours=True), Bar("b", 100.0, None, None, ours=False)])
    assert "logarithmic" in logarithmic
    one, two = drawn(logarithmic)
    assert two < 20 * one


def test_zero_is_drawn_without_length():
    assert drawn(bars("", [Bar("a", 0.0, 0.0, 0.0, ours=True)])) == [0.0]
