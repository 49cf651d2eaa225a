"""Declarations of work: on the workload before its pods, and only with a valid name."""

from dataclasses import replace

import pytest
from tests.fleet import pod, workload

from gpuwise.model.declared import bad_work_metric, declared, work_metric
from gpuwise.model.labels import WORK_METRIC


def declaring(value, *, pods=None):
    marked = {WORK_METRIC: pods} if pods is not None else {}
    annotations = {WORK_METRIC: value} if value is not None else {}
    return replace(workload(), annotations=annotations, pods=(replace(pod("chat-0"), annotations=marked),))


def test_the_workload_declares_before_its_pods():
    assert work_metric(declaring("steps_total")) == "steps_total"
    assert work_metric(declaring(None, pods="samples_total")) == "samples_total"
    assert work_metric(declaring("steps_total", pods="samples_total")) == "steps_total"
    assert work_metric(declaring(None)) is None
    assert declared(declaring(None), WORK_METRIC) is None


@pytest.mark.parametrize("name", ["steps_total", "vllm:generation_tokens_total", "_a1"])
def test_names_of_metrics_are_accepted(name):
    assert work_metric(declaring(name)) == name
    assert bad_work_metric(declaring(name)) is None


@pytest.mark.parametrize("name", ["", "1st", "steps total", "steps-total", 'x"}', "rate(x[5m])", "étapes", "a\n"])
def test_any_other_value_declares_nothing_and_is_named(name):
    assert work_metric(declaring(name)) is None
    problem = bad_work_metric(declaring(name))
    assert problem is not None
    assert WORK_METRIC in problem
    assert repr(name) in problem


@pytest.mark.parametrize("value", [5, ["a"]])
def test_a_value_that_is_not_text_in_an_inventory_that_a_person_wrote_is_named(value):
    assert work_metric(declaring(value)) is None
    assert bad_work_metric(declaring(value)) is not None


def test_of_a_long_value_only_the_beginning_is_shown():
    problem = bad_work_metric(declaring("x " * 100_000))
    assert problem is not None
    assert len(problem) < 400
