"""A node is freed by `gpuwise run`, one step in each pass, only with enact.nodes."""

import re

import pytest
from tests.api_requests import effects
from tests.e2e.acting import card, objects_of, played
from tests.e2e.fleets import listed
from tests.e2e.test_acting_cases import open_for_all

pytestmark = pytest.mark.emulator_only(reason="the pods of the cases started 15 days ago")
RUN = ("run", "--once", "--mode", "enforce", "-q")
ENV = {"GPUWISE_POLICY_MAX_RISK": "4", "GPUWISE_POLICY_MIN_CONFIDENCE": "0", "GPUWISE_POLICY_BRAKE_SHARE": "1"}


@pytest.fixture
def fleet(start_cluster, tmp_path):
    free = [card(f"GPU-{node}-{at}", node, busy=False) for node in ("n1", "n2") for at in range(7)]
    objects = open_for_all(objects_of("consolidate-onto-cordoned"))
    with played(start_cluster, tmp_path, objects, rest=free) as (cluster, options):
        yield cluster, options


def nodes(cluster):
    return {
        one["metadata"]["name"]: one["spec"].get("unschedulable", False) for one in listed(cluster, "/api/v1/nodes")
    }


def test_without_the_setting_a_node_is_advice(fleet, gpuwise):
    cluster, options = fleet
    done = gpuwise(*RUN, *options, env=ENV)
    assert done.code == 0, done.err
    assert not any(nodes(cluster).values())
    assert not [one for one in cluster.requests if effects(one)]


def test_a_node_is_cordoned_drained_and_uncordoned_by_an_undo(fleet, gpuwise):
    cluster, options = fleet
    env = ENV | {"GPUWISE_ENACT_NODES": "true"}
    first = gpuwise(*RUN, *options, env=env)
    assert "watching" in first.out, first.out + first.err
    (action,) = set(re.findall(r"\ba-[0-9a-f]{10}\b", first.out))
    (freed,) = [name for name, cordoned in nodes(cluster).items() if cordoned]

    for _ in range(4):
        cluster.settle()
        assert gpuwise(*RUN, *options, env=env).code == 0

    used = {pod["spec"].get("nodeName") for pod in listed(cluster, "/api/v1/pods")}
    assert freed not in used
    evictions = [one for one in cluster.requests if one.path.endswith("/eviction")]
    assert len(evictions) == 1
    assert nodes(cluster)[freed]
    assert gpuwise("undo", action, "--yes", *options[2:4], env=env).code == 0
    assert not any(nodes(cluster).values())
