"""The check of declared work: a bad name, a counter without samples and a missing limit are named with a fix."""

from dataclasses import replace

import numpy as np
from tests.fleet import workload
from tests.series import device, usage

from gpuwise.cli.work_checks import DeclaredWork
from gpuwise.model.checks import CheckStatus
from gpuwise.model.labels import WORK_METRIC
from gpuwise.model.signal import Signal

STEPS = 24


def found(metric, *, work=True, limit=True, pods=None):
    subject = workload(annotations={} if metric is None else {WORK_METRIC: metric}, pods=pods)
    one = device(STEPS, busy=range(STEPS))
    if limit:
        one = replace(one, samples={**one.samples, Signal.POWER_LIMIT: np.full(STEPS, 300.0)})
    check = DeclaredWork()
    check.add(subject, replace(usage(one), work_per_second=np.ones(STEPS) if work else None))
    return [(result.status, result.text) for result in check.results()]


def test_a_workload_without_a_declaration_is_not_mentioned():
    assert found(None) == []


def test_a_counter_and_limits_with_samples_are_ok():
    ((status, text),) = found("trainer_steps_total")
    assert (status, "1 workloads" in text) == (CheckStatus.OK, True)


def test_each_problem_is_a_warning_that_names_the_workload_and_the_fix():
    for given, fix in (
        (found("no name"), "is not the name of a metric"),
        (found("trainer_steps_total", work=False), "check that Prometheus scrapes its pods"),
        (found("trainer_steps_total", limit=False), "DCGM_FI_DEV_ENFORCED_POWER_LIMIT"),
    ):
        ((status, text),) = given
        assert status is CheckStatus.WARNING
        assert text.startswith("research/Deployment/chat: ")
        assert fix in text


def test_a_workload_that_does_not_run_has_no_problem():
    assert found("trainer_steps_total", work=False, pods=()) == []
