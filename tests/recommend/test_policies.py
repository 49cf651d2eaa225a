"""The list of policies is complete and true: engines exist, backtests exist, figures are those of QUALITY.md."""

import importlib
import re
from collections import Counter

import pytest
from tests.conftest import REPOSITORY

from gpuwise.backtest.catalogue import BACKTESTS
from gpuwise.model.findings import Finding
from gpuwise.recommend.plan import FLEET_METHODS, METHODS
from gpuwise.recommend.policies import POLICIES, Policy, Status, deciding, policy_of

QUALITY = (REPOSITORY / "benchmarks" / "QUALITY.md").read_text()
CAREFUL = "python -m benchmarks.careful"
each_policy = pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)


def test_each_policy_has_a_name_of_its_own():
    assert max(Counter(policy.name for policy in POLICIES).values()) == 1


def test_each_finding_has_one_policy_and_research_has_none():
    assert sorted(finding for policy in POLICIES for finding in policy.findings) == sorted(Finding)
    assert all(policy_of(finding) in deciding() for finding in Finding)


def test_the_policies_that_decide_are_the_methods_of_the_plan_in_their_order():
    stages = [importlib.import_module(method.__module__).STAGE for method in (*METHODS, *FLEET_METHODS)]
    assert [policy.name for policy in deciding()] == stages


@each_policy
def test_the_engine_exists_where_its_status_says(policy: Policy):
    package = "research" if policy.status is Status.RESEARCH else "recommend"
    assert policy.engine.startswith(f"gpuwise.{package}.")
    module, _, name = policy.engine.rpartition(".")
    found = importlib.import_module(module)
    assert callable(getattr(found, name, None)) or importlib.util.find_spec(policy.engine)


@each_policy
def test_an_input_that_nothing_supplies_makes_it_research(policy: Policy):
    if any(one.source is None for one in policy.inputs):
        assert policy.status is Status.RESEARCH


@each_policy
def test_the_backtest_exists_and_a_policy_without_one_says_why(policy: Policy):
    assert policy.figures or policy.limits
    if not policy.row:
        assert not policy.figures
    elif policy.row != CAREFUL:
        assert policy.row.split()[0] in {one.name for one in BACKTESTS}


@each_policy
def test_the_figures_are_lines_of_the_quality_page(policy: Policy):
    for figure in policy.figures:
        (found,) = re.findall(rf"^\| {re.escape(figure.about)} [<>]= \S+ \| (\S+) \|", QUALITY, re.MULTILINE)
        assert float(f"{float(found.replace(',', '')):.3g}") == figure.value
