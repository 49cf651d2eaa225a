"""What `explain` tells a person to do about changes that gpuwise does not write."""

from dataclasses import replace

import pytest
from tests.recommend.methods.test_deadline_capacity_misfit import job, on

from gpuwise.cli.explain import _manual
from gpuwise.model.changes import MoveToSpot
from gpuwise.recommend.methods.deadline_capacity_misfit import spot_until_next_pass


@pytest.mark.parametrize(
    ("pods", "hours", "expected"),
    [
        (None, 30.0, "that requires karpenter.sh/capacity-type In [spot]"),
        (on("spot-0"), 11.0, "that requires karpenter.sh/capacity-type NotIn [spot]"),
    ],
)
def test_a_job_is_created_again_with_another_affinity(pods, hours, expected):
    text = _manual(spot_until_next_pass(job(pods=pods, hours=hours)))
    assert text.startswith("after its next checkpoint, `kubectl -n research delete job chat`")
    assert expected in text
    assert text.endswith("; declare what is left: gpuwise.dev/work: 1000 and gpuwise.dev/pace: 100")


def test_the_zone_is_named():
    found = replace(spot_until_next_pass(job()), change=MoveToSpot("eu-west-1b", only=True))
    assert "and topology.kubernetes.io/zone In [eu-west-1b]" in _manual(found)
