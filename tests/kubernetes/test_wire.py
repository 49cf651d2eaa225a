"""The emulator against the answers of a real API server: 1,200 recorded exchanges."""

import pytest
from tests.kubernetes.wire import kept, replay, section

REQUIRED = """
    admission_policy custom_resources deletion dra enactor_deployment enactor_statefulset_job eviction expired
    forbidden hpa job_lifecycle leases nodes not_found paging pdb pending pod_security product_lists quantities
    quota reviews rollout scale statefulset unauthenticated
""".split()  # noqa: SIM905
"""Scenarios that the product depends on: the emulator answers all of them."""


# One worker of pytest-xdist replays the exchanges once.
pytestmark = pytest.mark.xdist_group("wire")


@pytest.fixture(scope="module")
def replayed(traces):
    folder = traces / "kubernetes_wire"
    if not folder.is_dir():
        pytest.skip(f"no recorded exchanges in {folder}: they come with the public traces")
    return replay(folder)


def test_the_setup_of_each_scenario_works(replayed):
    assert {one.name: one.setup for one in replayed if one.setup} == {}


def test_statuses_differ_only_for_requests_that_are_not_emulated(replayed):
    differs = {f"{one.name}/{key}": one.status(key) for one in replayed for key in one.other_status}
    assert differs == {}


def test_at_most_250_exchanges_are_not_emulated(replayed):
    assert sum(len(one.not_emulated) for one in replayed) <= 250


def test_at_least_500_answers_are_completely_equal(replayed):
    assert sum(len(one.equal) for one in replayed) >= 500


def test_the_required_scenarios_are_emulated(replayed):
    assert set(REQUIRED) <= {one.name for one in replayed}
    absent = {one.name: one.not_emulated for one in replayed if one.name in REQUIRED and one.not_emulated}
    assert absent == {}


def test_equal_answers_stay_equal(replayed):
    """`python -m tests.kubernetes.wire --keep` adds to the list; entries are never removed."""
    equal = {f"{one.name}/{key}" for one in replayed for key in one.equal}
    assert [key for key in kept() if key not in equal] == []


def test_the_section_of_the_documentation_counts_every_exchange(replayed):
    total = sum(len(one.exchanges) for one in replayed)
    assert f"| all | {total} |" in section(replayed)
