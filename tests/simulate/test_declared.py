"""Declared work of the simulated fleet: steps follow the activity, and the limit caps the power."""

import numpy as np
import pytest

from gpuwise.model.gpu import named
from gpuwise.model.labels import GPU_RESOURCE
from gpuwise.model.signal import Signal
from gpuwise.model.usage import DAY_S, Window
from gpuwise.simulate.activity import Activity
from gpuwise.simulate.declared import limited, steps_per_second
from gpuwise.simulate.placement import Slot

WINDOW = Window(0, 10 * DAY_S, 3_600)
HALF = WINDOW.steps // 2
A100 = named("A100-80GB")


@pytest.fixture
def slot() -> Slot:
    assert A100 is not None
    return Slot(node="n", uuid="GPU-0", gpu=A100, resource=GPU_RESOURCE, fraction=1.0)


def test_the_limit_is_lowered_five_days_before_the_end_and_caps_the_power(slot):
    power = np.full(WINDOW.steps, 350.0)
    found = limited({Signal.POWER: power}, slot, WINDOW, 315.0)
    assert found[Signal.POWER_LIMIT].tolist() == [400.0] * HALF + [315.0] * HALF
    assert found[Signal.POWER].tolist() == [350.0] * HALF + [315.0] * HALF
    assert limited({Signal.POWER: power}, slot, WINDOW, None)[Signal.POWER].tolist() == power.tolist()


def test_steps_follow_the_activity_and_are_slower_under_the_lower_limit():
    busy = np.ones(WINDOW.steps, dtype=np.float32)
    doing = Activity(busy, busy * np.float32(0.5), busy, None, None)
    whole, lowered = steps_per_second(doing, WINDOW, None), steps_per_second(doing, WINDOW, 315.0)
    assert whole.tolist() == [0.4] * WINDOW.steps
    assert lowered[0] == 0.4
    assert lowered[-1] == pytest.approx(0.4 / 1.02, abs=1e-4)
