"""Which quota would refuse the new pods of a changed template."""

import pytest

from gpuwise.sources.kubernetes.quotas import over_quota

GPU = "requests.nvidia.com/gpu"


def spec(gpus=1, resource="nvidia.com/gpu", cpu=None, **fields):
    limits = {resource: str(gpus)} | ({"cpu": cpu} if cpu else {})
    return {"containers": [{"name": "main", "resources": {"limits": limits}}]} | fields


def pods(count, **what):
    return [{"metadata": {"uid": f"u{at}"}, "spec": spec(**what)} for at in range(count)]


def quota(hard, used, **fields):
    return {"metadata": {"name": "team"}, "spec": {"hard": hard} | fields, "status": {"used": used}}


def refused(found, new, old, ending=()):
    return over_quota([found], new, old, set(ending))


def test_a_new_pod_beside_the_old_ones():
    full = quota({GPU: "4"}, {GPU: "4"})
    assert "the quota team allows 4 of requests.nvidia.com/gpu: 4 is used" in refused(full, spec(1), pods(2, gpus=2))
    assert refused(full, spec(1), pods(2, gpus=2), ["u0"]) is None
    assert refused(quota({GPU: "5"}, {GPU: "4"}), spec(1), pods(2, gpus=2)) is None


def test_all_new_pods_count_although_the_first_would_fit():
    slices = quota({"requests.nvidia.com/mig-1g.10gb": "1"}, {"requests.nvidia.com/mig-1g.10gb": "0"})
    new = spec(1, resource="nvidia.com/mig-1g.10gb")
    assert refused(slices, new, pods(1)) is None
    assert "mig-1g.10gb" in refused(slices, new, pods(2))


@pytest.mark.parametrize("name", ["pods", "count/pods"])
def test_pods_are_counted(name):
    assert refused(quota({name: "2"}, {name: "2"}), spec(), pods(2)) is not None
    assert refused(quota({name: "2"}, {name: "2"}), spec(), pods(2), ["u1"]) is None


@pytest.mark.parametrize("name", ["cpu", "requests.cpu", "limits.cpu"])
def test_cpu_is_exact_by_each_of_its_names(name):
    assert refused(quota({name: "300m"}, {name: "200m"}), spec(cpu="100m"), pods(2, cpu="100m")) is None
    assert refused(quota({name: "299m"}, {name: "200m"}), spec(cpu="100m"), pods(2, cpu="100m")) is not None


def test_what_a_limit_range_adds_to_the_pods_counts():
    """The template has no CPU; the running pods got theirs at admission."""
    assert "requests.cpu" in refused(quota({"requests.cpu": "2"}, {"requests.cpu": "2"}), spec(), pods(2, cpu="1"))


def test_a_quota_whose_use_is_not_known_yet_refuses():
    found = quota({GPU: "8"}, {})
    assert "its use is not known yet" in refused(found, spec(), pods(1))


@pytest.mark.parametrize(
    ("fields", "pod", "counts"),
    [
        ({"scopes": ["Terminating"]}, {}, False),
        ({"scopes": ["NotTerminating"]}, {}, True),
        ({"scopes": ["BestEffort"]}, {}, True),  # the class of a pod depends on CPU and memory, not on GPUs
        ({"scopes": ["BestEffort"]}, {"cpu": "1"}, False),
        ({"scopes": ["NotBestEffort"]}, {}, True),
        ({"scopes": ["SomethingNew"]}, {}, True),
        ({"scopeSelector": ("In", ["low"])}, {"priorityClassName": "low"}, True),
        ({"scopeSelector": ("In", ["low"])}, {}, False),
        ({"scopeSelector": ("NotIn", ["low"])}, {"priorityClassName": "low"}, False),
        ({"scopeSelector": ("Exists", [])}, {"priorityClassName": "low"}, True),
        ({"scopeSelector": ("DoesNotExist", [])}, {"priorityClassName": "low"}, False),
    ],
)
def test_a_quota_counts_the_pods_of_its_scopes(fields, pod, counts):
    if "scopeSelector" in fields:
        operator, values = fields["scopeSelector"]
        term = {"scopeName": "PriorityClass", "operator": operator, "values": values}
        fields = {"scopeSelector": {"matchExpressions": [term]}}
    found = quota({GPU: "1"}, {GPU: "1"}, **fields)
    assert (refused(found, spec(**pod), pods(1)) is not None) is counts


def test_pods_that_ended_use_nothing():
    ended = [one | {"status": {"phase": "Succeeded"}} for one in pods(1, gpus=4)]
    assert refused(quota({GPU: "2"}, {GPU: "1"}), spec(2), ended, ["u0"]) is not None
