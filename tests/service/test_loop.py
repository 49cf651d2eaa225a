"""The service's metrics and health check for its own loop."""

import pytest
from prometheus_client import CollectorRegistry

from gpuwise.service.loop import LoopWatch


class Clock:
    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def watch(clock):
    return LoopWatch(600, monotonic=clock, wall=lambda: 1_800_000_000 + clock())


def value(watch, name, step):
    registry = CollectorRegistry()
    registry.register(watch)
    return registry.get_sample_value(name, {"step": step})


def test_a_successful_step_exports_its_time_and_duration(watch, clock):
    with watch.step("score"):
        clock.now_s += 20
    assert value(watch, "gpuwise_step_duration_seconds_sum", "score") == 20
    assert value(watch, "gpuwise_step_last_success_timestamp_seconds", "score") == 1_800_000_020
    assert value(watch, "gpuwise_step_errors_total", "score") == 0


def test_a_failed_step_is_counted_and_has_no_success_time(watch):
    with pytest.raises(ZeroDivisionError), watch.step("observe"):
        raise ZeroDivisionError
    assert value(watch, "gpuwise_step_errors_total", "observe") == 1
    assert value(watch, "gpuwise_step_duration_seconds_count", "observe") is None
    assert value(watch, "gpuwise_step_last_success_timestamp_seconds", "observe") is None


def test_a_stalled_loop_is_reported_with_its_step(watch, clock):
    with watch.step("score"):
        clock.now_s += 600
        assert watch.trouble is None
        clock.now_s += 1
        assert watch.trouble == "the loop has made no progress for 601 s, in step score"
        watch.progress("score", 1, 2)
        assert watch.trouble is None


def test_waiting_for_the_next_pass_is_not_a_stall(watch, clock):
    watch.beat("wait", within_s=3_600)
    clock.now_s += 4_000
    assert watch.trouble is None
    clock.now_s += 201
    assert watch.trouble is not None


def test_a_loop_that_ended_is_unhealthy_at_once(watch):
    watch.end("its thread died")
    assert watch.trouble == "the loop has ended: its thread died"
