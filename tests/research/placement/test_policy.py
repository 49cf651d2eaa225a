"""Laws of placing pods one by one."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.recommend.engines.node_underutilised.test_choose import shapes, without

from gpuwise.recommend.engines.node_underutilised.demand import Demand, fragmentation
from gpuwise.recommend.engines.node_underutilised.nodes import PodShape, nodes
from gpuwise.research.placement.policy import Placer

pods = st.lists(shapes | without, min_size=1, max_size=80)


def fleet():
    return nodes([16_000, 8_000, 8_000], [2_000] * 3, [4, 2, 1], [1, 2, 2])


@settings(max_examples=40)
@given(pods)
def test_every_pod_that_fits_is_placed_and_no_capacity_is_used_twice(arriving):
    left = fleet()
    placer = Placer(left)
    for pod in arriving:
        fits, before = left.fit(pod).any(), left.copy()
        at = placer.place(pod)
        assert (at is not None) == fits
        if at is not None:
            assert before.takes(pod, at)
        assert min(left.cpu.min(), left.memory.min(), left.gpu.min()) >= 0


@settings(max_examples=25)
@given(pods, pods, pods)
def test_later_pods_change_no_earlier_place(past, one, other):
    placers = Placer(fleet()), Placer(fleet())
    first, second = (
        [placer.place(pod) for pod in (*past, *future)] for placer, future in zip(placers, (one, other), strict=True)
    )
    assert first[: len(past)] == second[: len(past)]


def test_a_share_goes_to_a_shared_gpu_and_leaves_a_whole_one_free():
    placer = Placer(nodes([64_000], [64_000], [2], [1]))
    half = PodShape(1000, 10, 1, 500, 1)
    assert placer.place(half).gpus == placer.place(half).gpus
    assert placer.place(PodShape(1000, 10, 1, 1000, 1)) is not None


def test_a_pod_without_gpus_goes_to_a_node_without_gpus():
    placer = Placer(nodes([8000, 8000], [1000, 1000], [8, 0], [1, 1]))
    assert placer.place(PodShape(4000, 10, 0, 0, 0)).node == 1


def test_fragmentation_is_the_capacity_that_typical_pods_cannot_use():
    """Half of the pods request 0.6 of a GPU, half two whole GPUs; each has the weight of its share x GPUs^-0.5."""
    demand = Demand()
    demand.see(PodShape(0, 0, 1, 600, 1))
    demand.see(PodShape(0, 0, 2, 1000, 1))
    pieces, blocks = fragmentation(demand, 4)
    share, pair = 0.5 * 0.6**-0.5, 0.5 * 2**-0.5
    assert np.isclose(pieces[500], 500 * (share + pair))
    assert np.isclose(pieces[700], 700 * pair)
    assert pieces[1000] == 0.0
    assert np.allclose(blocks, [0, 1000 * pair, 0, 0, 0])
