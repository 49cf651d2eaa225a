"""ReplicasOverprovisioned: as many replicas as the load needs."""

import pytest
from tests.cases import at_level, reason, training
from tests.cases import mixed_fleet_case as case
from tests.fleet import pod, workload

from gpuwise.model.changes import ScaleTo
from gpuwise.model.reasons import Reason
from gpuwise.recommend.methods.replicas_overprovisioned import fewer_replicas

FIVE = workload(pods=tuple(pod(f"chat-{i}") for i in range(5)))


@pytest.mark.parametrize(("sm", "left"), [(0.05, 2), (0.3, 3), (0.4, 4)])
def test_the_remaining_replicas_carry_the_load_at_the_target_level(sm, left):
    """5 x 0.3 x 1.15 x (1 + 1/7) / 0.7 = 2.8, so three replicas; never fewer than two."""
    found = fewer_replicas(case(at_level(sm=sm), FIVE))
    assert found.change == ScaleTo(left)
    assert found.saving.gpu_h_month == pytest.approx(730 * (1 - left / 5))


def test_a_loaded_endpoint_keeps_its_replicas():
    assert reason(fewer_replicas(case(at_level(sm=0.6), FIVE))) is Reason.WELL_SIZED


def test_two_replicas_are_kept():
    pair = workload(pods=(pod("a"), pod("b")))
    assert reason(fewer_replicas(case(at_level(), pair))) is Reason.SINGLE_REPLICA


def test_training_workers_cannot_replace_each_other():
    assert reason(fewer_replicas(case(at_level(), training()))) is Reason.NOT_APPLICABLE
