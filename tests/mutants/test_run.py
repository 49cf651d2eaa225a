"""The runner of `make mutants`, on a small tree of its own."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from tests.mutants.planted import MUTANTS, Mutant
from tests.mutants.run import ROOT, PlantingError, judge_all, named, planted, report

pytestmark = pytest.mark.parts  # each runs pytest several times

MUTANT = Mutant(
    "at-the-limit-is-below", "src/limits.py", "value >= limit", "value > limit", ("tests/test_limits.py",), "it matters"
)
SOURCE = "def reached(value, limit):\n    return value >= limit\n"
CAREFUL = "from limits import reached\n\n\ndef test_at():\n    assert reached(2, 2)\n"
CARELESS = "from limits import reached\n\n\ndef test_above():\n    assert reached(3, 2)\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository with one module and one test."""
    root = tmp_path / "tree"
    for name in ("src", "tests/mutants"):
        (root / name).mkdir(parents=True)
    (root / MUTANT.file).write_text(SOURCE)
    (root / "tests/test_limits.py").write_text(CAREFUL)
    (root / "tests/mutants/unshrunk.py").write_text((ROOT / "tests/mutants/unshrunk.py").read_text())
    subprocess.run(["git", "init", "--quiet", root], check=True)
    return root


def judged(tree: Path, *mutants: Mutant):
    return list(judge_all(mutants, tree, tree.parent / "copies", 2))


@pytest.mark.parametrize("source", ["", SOURCE + SOURCE])
def test_a_text_that_is_not_there_once_fails_the_run(tree, source):
    (tree / MUTANT.file).write_text(source)
    with pytest.raises(PlantingError, match=f"at-the-limit-is-below: its text is {source.count('def')} times"):
        judged(tree, MUTANT)


def test_a_test_that_is_not_there_fails_the_run(tree):
    with pytest.raises(PlantingError, match=r"there is no tests/test_gone\.py"):
        judged(tree, replace(MUTANT, tests=("tests/test_gone.py::test_at",)))


def test_two_mutants_of_one_name_fail_the_run(tree):
    with pytest.raises(PlantingError, match="two mutants are named"):
        judged(tree, MUTANT, MUTANT)


def test_a_bug_that_a_test_notices_is_killed_and_the_tree_is_as_before(tree, capsys):
    found = judged(tree, MUTANT)
    assert [(one.killed, one.by) for one in found] == [(True, "tests/test_limits.py::test_at")]
    assert (tree / MUTANT.file).read_text() == SOURCE
    assert not (tree.parent / "copies").exists()
    assert report(found) == 0
    assert "planted 1, killed 1, surviving 0" in capsys.readouterr().out


def test_a_bug_that_no_test_notices_survives_and_is_named(tree, capsys):
    (tree / "tests/test_limits.py").write_text(CARELESS)
    found = judged(tree, MUTANT, replace(MUTANT, name="always-reached", replacement="False"))
    assert [one.killed for one in found] == [False, True]
    assert report(found) == 1
    printed = capsys.readouterr().out
    assert "planted 2, killed 1, surviving 1" in printed
    assert "at-the-limit-is-below in src/limits.py, not noticed by tests/test_limits.py: it matters" in printed


def test_a_parameter_with_spaces_does_not_hide_a_kill(tree):
    text = CAREFUL.replace("def test_at():", '@pytest.mark.parametrize("said", ["at - the limit"])\ndef test_at(said):')
    (tree / "tests/test_limits.py").write_text(f"import pytest\n{text}")
    assert [one.killed for one in judged(tree, MUTANT)] == [True]


def test_a_test_that_flickers_kills_nothing(tree):
    """It fails with the bug in the source when it runs the first time, and passes the second time."""
    flicker = "from pathlib import Path\n\n\ndef test_flicker():\n    seen = Path('seen')\n"
    flicker += "    if 'value > limit' in Path('src/limits.py').read_text() and not seen.exists():\n"
    flicker += "        seen.touch()\n        assert False\n"
    (tree / "tests/test_limits.py").write_text(flicker)
    assert [one.killed for one in judged(tree, MUTANT)] == [False]


def test_tests_that_fail_without_a_bug_judge_nothing(tree):
    (tree / "tests/test_limits.py").write_text("def test_at():\n    assert False\n")
    with pytest.raises(PlantingError, match="does not pass without any mutant"):
        judged(tree, MUTANT)


def test_a_bug_that_is_no_python_is_no_verdict(tree):
    with pytest.raises(PlantingError, match="is no verdict"):
        judged(tree, replace(MUTANT, replacement="value >"))


def test_a_name_that_is_not_there():
    assert named([MUTANTS[0].name]) == [MUTANTS[0]]
    assert named([]) == list(MUTANTS)
    with pytest.raises(PlantingError, match="there is no mutant other"):
        named(["other"])


def test_a_bug_is_planted_once():
    assert planted(MUTANT, SOURCE) == SOURCE.replace(">=", ">")


def test_a_bug_in_a_specification_runs_in_place_of_the_kernel(tree):
    """The compiled kernel has no bug, so nothing would notice one in the specification beside it."""
    for name, text in (
        ("_reached_c.py", SOURCE),
        ("_reached_py.py", SOURCE),
        ("_reached.py", "from _reached_c import reached\n"),
    ):
        (tree / "src" / name).write_text(text)
    (tree / "tests/test_limits.py").write_text(CAREFUL.replace("from limits", "from _reached"))
    (found,) = judged(tree, replace(MUTANT, file="src/_reached_py.py"))
    assert found.killed
