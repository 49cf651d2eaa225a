"""Who approved: the user that the cluster authenticates, or that of the operating system; and which policy blocks."""

import getpass

import pytest
from tests.e2e.test_plan_and_effect import fleet

__all__ = ["fleet"]

ENV = {"GPUWISE_POLICY_MAX_RISK": "4", "GPUWISE_POLICY_APPROVALS_ABOVE_USD_MONTH": "1"}


@pytest.fixture
def approvable(fleet, gpuwise):
    """The options, and a recommendation that waits for people."""
    _, options = fleet
    planned = gpuwise("plan", *options, "--mode", "enforce", "-o", "json", env=ENV).data
    waiting = [one for one in planned["holds"] if one["reason"] == "NeedsSecondPerson"]
    return options, waiting[0]["recommendation_id"]


def test_the_users_of_the_cluster_approve_and_explain_shows_them_and_the_policy(approvable, gpuwise):
    options, item = approvable
    kubeconfig = options[2:4]
    before = gpuwise("explain", item, *kubeconfig).out
    assert "policy 18 of 26: blast radius (docs/policy.md)" in before
    done = gpuwise("approve", item, *kubeconfig, "--reason", "seen in review")
    assert done.code == 0, done.err
    assert "by admin (authenticated by the cluster)" in done.out
    local = gpuwise("approve", item)
    assert f"by {getpass.getuser()} (user of the operating system)" in local.out
    shown = gpuwise("explain", item, *kubeconfig).out
    assert "by admin (authenticated by the cluster): seen in review" in shown
    assert f"by {getpass.getuser()} (user of the operating system)" in shown
    approvals = gpuwise("explain", item, *kubeconfig, "-o", "json").data["recommendations"][0]["approvals"]
    assert [(one["actor"], one["authenticated"]) for one in approvals] == [
        ("admin", True),
        (getpass.getuser(), False),
    ]
    planned = gpuwise("plan", *options, "--mode", "enforce", "-o", "json", env=ENV).data
    assert [one["approved_by"] for one in planned["commands"] if one["recommendation_id"] == item] == [
        sorted(["admin", getpass.getuser()])
    ]
    strict = ENV | {"GPUWISE_POLICY_APPROVALS_AUTHENTICATED": "true"}
    planned = gpuwise("plan", *options, "--mode", "enforce", "-o", "json", env=strict).data
    assert item not in {one["recommendation_id"] for one in planned["commands"]}


def test_the_actor_of_apply_is_the_user_of_the_cluster(approvable, gpuwise):
    options, item = approvable
    refused = gpuwise("apply", item, *options[2:4], "--yes", env=ENV)
    assert refused.code == 1  # it is of the recording's time, and has expired
    assert "Ordered by admin (authenticated by the cluster)." in refused.err


def test_a_pause_without_a_cluster_is_by_the_user_of_the_operating_system(gpuwise):
    done = gpuwise("pause", "--reason", "incident")
    assert f"by {getpass.getuser()} (user of the operating system)" in done.out
