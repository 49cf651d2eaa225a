import numpy as np
import pytest
from tests.scored import profile
from tests.series import device, usage

from gpuwise.model.profile import Limit
from gpuwise.model.signal import Signal
from gpuwise.model.usage import DeviceSeries
from gpuwise.score.settings import ScoreSettings

SM, TENSOR, DRAM, UTIL = Signal.SM_ACTIVITY, Signal.TENSOR_ACTIVITY, Signal.DRAM_ACTIVITY, Signal.GPU_UTIL
STEPS = 120
GIB = 2.0**30


def found(*, devices=1, card="A100-80GB", **levels):
    """The bottleneck of devices with these constant levels."""
    signals = {"sm": SM, "tensor": TENSOR, "dram": DRAM, "util": UTIL, "memory": Signal.MEMORY_USED}
    samples = {signals[name]: np.full(STEPS, value) for name, value in levels.items()}
    each = [DeviceSeries("job-0", f"GPU-{i}", 1.0, card, "node-0", dict(samples)) for i in range(devices)]
    return profile(usage(*each), ScoreSettings()).bottleneck


@pytest.mark.parametrize(
    ("levels", "limit"),
    [
        pytest.param(
            {"sm": 0.9, "tensor": 0.55, "dram": 0.4, "util": 1.0}, Limit.COMPUTE, id="mixed precision training"
        ),
        pytest.param({"sm": 0.92, "tensor": 0.0, "dram": 0.3, "util": 1.0}, Limit.COMPUTE, id="float32 simulation"),
        pytest.param({"sm": 0.7, "tensor": 0.1, "dram": 0.72, "util": 1.0}, Limit.BANDWIDTH, id="decoding tokens"),
        pytest.param({"sm": 0.3, "tensor": 0.15, "dram": 0.2, "util": 0.4}, Limit.INPUT, id="waiting for its loader"),
        pytest.param(
            {"sm": 0.4, "tensor": 0.2, "dram": 0.3, "util": 0.9, "memory": 78 * GIB},
            Limit.MEMORY,
            id="the card is full",
        ),
        pytest.param({"sm": 0.4, "tensor": 0.2, "dram": 0.3, "util": 0.9}, Limit.UNKNOWN, id="none stands out"),
        pytest.param({"sm": 0.0, "tensor": 0.0, "dram": 0.0, "util": 0.0}, Limit.IDLE, id="nothing runs"),
    ],
)
def test_the_limit_by_the_activity_signals(levels, limit):
    assert found(**levels).limit is limit


def test_a_waiting_collective_spins_on_several_devices():
    spinning = {"sm": 0.35, "tensor": 0.01, "dram": 0.02, "util": 1.0}
    assert found(devices=8, **spinning).limit is Limit.COMMUNICATION
    assert found(devices=1, **spinning).limit is not Limit.COMMUNICATION  # there is no other device to wait for


@pytest.mark.parametrize("util", [0.05, 0.5, 1.0])
def test_gpu_utilisation_alone_never_shows_a_limit(util):
    alone = found(util=util)
    assert (alone.limit, alone.confidence) == (Limit.UNKNOWN, 0.0)


def test_without_dram_activity_a_busy_sm_is_not_compute_bound():
    assert found(sm=0.9, util=1.0).limit is Limit.UNKNOWN


def test_confidence_grows_with_the_number_of_signals():
    levels = {"sm": 0.9, "dram": 0.3, "tensor": 0.5, "util": 1.0}
    fewer = [found(**{name: levels[name] for name in list(levels)[:count]}).confidence for count in (2, 3, 4)]
    assert fewer == sorted(fewer)
    assert fewer[-1] == pytest.approx(1.0)


def test_means_are_over_active_time():
    one = device(STEPS, busy=range(60))
    means = profile(usage(one), ScoreSettings()).bottleneck.means
    assert means[SM] == pytest.approx(0.8)
    assert means[Signal.POWER] == pytest.approx(330.0)


def test_without_activity_signals_the_limit_is_unknown():
    assert found(memory=GIB).limit is Limit.UNKNOWN
