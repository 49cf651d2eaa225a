"""From the configuration to what the loop is given."""

from contextlib import ExitStack
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from gpuwise.config import Config, load
from gpuwise.model.signal import Signal
from gpuwise.score.checkpoint import encode
from gpuwise.score.hours import hours_of
from gpuwise.score.settings import ScoreSettings
from gpuwise.wiring import checkpoints, loop_settings
from tests.series import DAY_STEPS, WORKLOAD, device, usage


def configured(tmp_path: Path, **flags: object) -> Config:
    return load(None, {}, {"prometheus.url": "http://one", "ledger.path": str(tmp_path / "ledger.db")} | flags)


def kept(config: Config) -> list[bytes]:
    with ExitStack() as stack:
        found = checkpoints(config, stack)
        assert found is not None
        return list(found.load([WORKLOAD])[WORKLOAD])


def keep(config: Config, blob: bytes) -> None:
    with ExitStack() as stack:
        found = checkpoints(config, stack)
        assert found is not None
        found.save({WORKLOAD: {"past": blob}})


def hours(settings: ScoreSettings) -> bytes:
    """A day in which each value of the activity signals from 0 to 1 occurs."""
    one = device(DAY_STEPS, signals=(Signal.SM_ACTIVITY, Signal.GPU_UTIL))
    for column in one.samples.values():
        column[:] = np.linspace(0.0, 1.0, DAY_STEPS)
    return encode(hours_of(usage(one), settings))


def changed(settings: ScoreSettings, name: str) -> ScoreSettings:
    value = getattr(settings, name)
    return replace(settings, **{name: type(value)(value * 2)})


def test_hours_that_another_threshold_would_count_differently_are_not_continued(tmp_path: Path):
    """Whatever setting changes the hours that are kept is part of what they are kept under."""
    config = configured(tmp_path)
    keep(config, hours(config.score))
    assert kept(config) == [hours(config.score)]
    other = {field.name: replace(config, score=changed(config.score, field.name)) for field in fields(ScoreSettings)}
    counted_differently = {name for name, one in other.items() if hours(one.score) != hours(config.score)}
    assert counted_differently
    assert {name for name in counted_differently if kept(other[name])} == set()


@pytest.mark.parametrize(("key", "value"), [("prometheus.url", "http://two"), ("observe.step_s", 60)])
def test_hours_of_another_source_or_step_are_not_continued(tmp_path: Path, key: str, value: object):
    keep(configured(tmp_path), b"hours")
    assert kept(configured(tmp_path, **{key: value})) == []


def test_the_time_to_the_next_pass_is_that_of_the_loop():
    """A job with a deadline is planned for it, also by a single scan."""
    assert loop_settings(load(None, {}, {"service.interval_s": 900})).pass_interval_s == 900
    assert loop_settings(load(None, {}, {})).pass_interval_s == 3_600
