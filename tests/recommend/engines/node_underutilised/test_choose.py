"""The compiled kernel and its specification choose the same place, ties included."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuwise.recommend.engines.node_underutilised import _choose, _choose_c, _choose_py
from gpuwise.recommend.engines.node_underutilised.nodes import PodShape, nodes

shapes = st.builds(
    PodShape,
    st.integers(0, 6000),
    st.integers(0, 300),
    st.just(1),
    st.sampled_from([100, 333, 500, 810]),
    st.integers(1, 3),
) | st.builds(PodShape, st.integers(0, 6000), st.integers(0, 300), st.integers(1, 4), st.just(1000), st.integers(1, 3))
without = st.builds(PodShape, st.integers(0, 6000), st.integers(0, 300), st.just(0), st.just(0), st.just(3))


@st.composite
def fleets(draw):
    count = draw(st.integers(1, 5))
    some = st.lists(st.integers(1, 4), min_size=count, max_size=count)
    left = nodes([4000 * n for n in draw(some)], [128 * n for n in draw(some)], draw(some), draw(some))
    spent = draw(st.lists(st.sampled_from([0, 0, 190, 500, 1000]), min_size=left.gpu.size, max_size=left.gpu.size))
    np.copyto(left.gpu, np.maximum(left.gpu - np.reshape(spent, left.gpu.shape), 0))
    return left


def test_the_compiled_kernel_is_the_one_in_use():
    assert _choose.choose is _choose_c.choose


@settings(max_examples=200)
@given(fleets(), shapes | without, st.integers(0, 2**32 - 1), st.sampled_from([0.1, 1.0, np.inf]))
def test_kernel_and_specification_choose_the_same_place(left, pod, seed, cpu_per_milli):
    draw = np.random.default_rng(seed)
    # few distinct values, so that there are ties
    gain, block = draw.integers(-3, 3, 1001) / 4, draw.integers(0, 3, left.gpu.shape[1] + 1) / 4
    weights = np.array([draw.choice([0.0, 0.15]), cpu_per_milli, draw.choice([0.0, 1e-4]), draw.choice([0.0, 1e-3])])
    request = np.array([pod.cpu_milli, pod.memory_mib, pod.models, pod.gpus, pod.gpu_milli])
    given_ = (left.cpu, left.memory, left.models, left.gpu, request, gain, block, weights)
    found = _choose_c.choose(*given_)
    assert found == _choose_py.choose(*given_)
    assert (found >= 0) == left.fit(pod).any()
    if found >= 0:
        assert left.fit(pod)[found // left.gpu.shape[1]]


@pytest.mark.parametrize("choose", [_choose_c.choose, _choose_py.choose])
def test_the_first_of_equal_places_is_chosen(choose):
    left = nodes([1000] * 3, [10] * 3, [2] * 3, [1] * 3)
    zeros = np.zeros(1001), np.zeros(3), np.array([0.0, 1.0, 0.0, 0.0])
    assert choose(left.cpu, left.memory, left.models, left.gpu, np.array([1, 1, 1, 1, 500]), *zeros) == 0
