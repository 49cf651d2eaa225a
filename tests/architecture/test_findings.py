"""A finding has one name, by which its method, engine, research, backtest and test are found."""

import importlib.util
import re
from pathlib import Path

from tests.conftest import REPOSITORY

from gpuwise.backtest.catalogue import BACKTESTS
from gpuwise.model.findings import Finding
from gpuwise.recommend.plan import FLEET_METHODS, METHODS

SOURCE = REPOSITORY / "src" / "gpuwise"
METHOD_FOLDER, ENGINES, RESEARCH = (
    SOURCE / "recommend" / "methods",
    SOURCE / "recommend" / "engines",
    SOURCE / "research",
)
SHARED = {"logistic", "paces", "regression"}  # what several engines use
WITHOUT_FINDING = {"memory_limit", "placement"}
OF_MONEY = {"anomaly", "forecast"}  # what finops calls


def named(folder: Path) -> set[str]:
    return {path.stem for path in folder.iterdir() if path.stem[0] != "_"}


def names() -> dict[Finding, str]:
    spec = importlib.util.spec_from_file_location("generate", REPOSITORY / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {finding: module.name_of(finding) for finding in Finding}


def test_each_finding_has_exactly_one_method_and_test_of_its_name():
    wanted = set(names().values())
    assert named(METHOD_FOLDER) == wanted
    assert named(REPOSITORY / "tests" / "recommend" / "methods") == {f"test_{name}" for name in wanted}


def test_the_plan_lists_each_method_once():
    listed = [method.__module__.rsplit(".", 1)[1] for method in (*METHODS, *FLEET_METHODS)]
    assert sorted(listed) == sorted(set(names().values()))


def test_a_method_returns_only_the_findings_of_its_name():
    wanted = {name: {one.name for one in Finding if names()[one] == name} for name in names().values()}
    made = {name: set(re.findall(r"\bFinding\.(\w+)", (METHOD_FOLDER / f"{name}.py").read_text())) for name in wanted}
    assert made == wanted


def test_an_engine_is_called_by_the_method_of_its_name():
    for name in named(ENGINES) - SHARED:
        assert f"gpuwise.recommend.engines.{name}" in (METHOD_FOLDER / f"{name}.py").read_text()


def test_research_and_backtests_are_named_after_a_finding_or_a_decision():
    assert named(RESEARCH) - SHARED <= set(names().values()) | WITHOUT_FINDING
    played = {one.load.__module__.split(".")[2] for one in BACKTESTS}
    assert played <= set(names().values()) | WITHOUT_FINDING | OF_MONEY
    assert named(RESEARCH) - SHARED <= played


def test_a_finding_has_the_same_spelling_in_code_and_output():
    for finding in Finding:
        assert finding.name.replace("_", "").lower() == finding.value.lower()


def test_each_engine_and_each_decision_of_research_has_tests_of_its_name():
    tests = REPOSITORY / "tests"
    for source, mirror in ((ENGINES, tests / "recommend" / "engines"), (RESEARCH, tests / "research")):
        tested = {path.stem.removeprefix("test_") for path in mirror.iterdir() if path.stem[0] != "_"}
        assert named(source) <= tested
