"""What pods require of nodes, and what nodes accept, as the API writes it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuwise.model.scheduling import Openness, Requirement, Scheduling, Taint, Toleration, refusal
from gpuwise.sources.kubernetes.scheduling import openness_of, requests_of, scheduling_of

ZONE = "topology.kubernetes.io/zone"


def container(**requests):
    return {"name": "m", "resources": {"requests": requests}}


def test_selector_and_required_affinity_are_one_condition():
    affinity = {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [
                    {"matchExpressions": [{"key": ZONE, "operator": "In", "values": ["a", "b"]}]},
                    {"matchExpressions": [{"key": "pool", "operator": "Exists"}]},
                ]
            }
        }
    }
    pod = scheduling_of({"nodeSelector": {"gpu": "a100"}, "affinity": affinity}, ())
    labels = ({"gpu": "a100", ZONE: "a"}, {"gpu": "a100", "pool": "x"}, {"gpu": "a100"}, {ZONE: "a"})
    assert [refusal(pod, Openness(labels=one)) is None for one in labels] == [True, True, False, False]


def test_a_term_without_requirements_matches_no_node():
    required = {"nodeSelectorTerms": [{}, {"matchExpressions": [{"key": ZONE, "operator": "Exists"}]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}
    pod = scheduling_of({"affinity": affinity}, ())
    assert [refusal(pod, Openness(labels=one)) is None for one in ({}, {ZONE: "a"})] == [False, True]


def test_volumes_restrict_a_pod_or_tie_it():
    in_a = ((Requirement(ZONE, "In", ("a",)),),)
    pod = scheduling_of({"nodeSelector": {"gpu": "a100"}}, [in_a])
    labels = ({"gpu": "a100", ZONE: "a"}, {"gpu": "a100", ZONE: "b"}, {ZONE: "a"})
    assert [refusal(pod, Openness(labels=one)) is None for one in labels] == [True, False, False]
    assert scheduling_of({}, "its claim is not bound").tied == "its claim is not bound"


@pytest.mark.parametrize(
    ("operator", "values", "labels", "met"),
    [
        ("NotIn", ("a",), {}, True),
        ("DoesNotExist", (), {"k": "1"}, False),
        ("Gt", ("3",), {"k": "4"}, True),
        ("Lt", ("3",), {"k": "4"}, False),
        ("Gt", ("3",), {"k": "many"}, False),
        ("Near", ("3",), {"k": "3"}, False),
    ],
)
def test_operators(operator, values, labels, met):
    assert Requirement("k", operator, values).met_by(labels) is met


@pytest.mark.parametrize(
    ("toleration", "tolerated"),
    [
        ({"operator": "Exists"}, True),
        ({"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}, True),
        ({"key": "gpu", "operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "gpu", "value": "yes"}, True),
        ({"key": "gpu", "value": "no"}, False),
        ({"key": "other", "operator": "Exists"}, False),
    ],
)
def test_tolerations(toleration, tolerated):
    (one,) = scheduling_of({"tolerations": [toleration]}, ()).tolerations
    assert isinstance(one, Toleration)
    assert one.tolerates(Taint("gpu", "yes", "NoSchedule")) is tolerated


@pytest.mark.parametrize(
    ("spec", "tied"),
    [
        ({}, False),
        ({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{}]}}}, True),
        ({"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{}]}}}, True),
        ({"affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{}]}}}, False),
        ({"topologySpreadConstraints": [{"whenUnsatisfiable": "DoNotSchedule"}]}, True),
        ({"topologySpreadConstraints": [{"whenUnsatisfiable": "ScheduleAnyway"}]}, False),
        ({"containers": [{"name": "m", "ports": [{"containerPort": 80, "hostPort": 80}]}]}, True),
        ({"schedulerName": "volcano"}, True),
        ({"resourceClaims": [{"name": "gpu"}]}, True),
    ],
)
def test_rules_that_cannot_be_evaluated_here_tie_a_pod_to_its_node(spec, tied):
    assert (scheduling_of(spec, ()).tied is not None) is tied


def test_requests_of_a_pod_are_the_larger_of_its_start_and_its_run():
    spec = {
        "initContainers": [container(cpu="8"), {**container(cpu="1", memory="1Gi"), "restartPolicy": "Always"}],
        "containers": [container(cpu="500m"), {"name": "n", "resources": {"limits": {"cpu": "2"}}}],
        "overhead": {"cpu": "250m"},
    }
    assert requests_of(spec) == {"cpu": 8.25, "memory": 2.0**30}


def test_what_a_node_has_left():
    node = {
        "metadata": {"name": "n", "labels": {"pool": "a"}},
        "spec": {"unschedulable": True, "taints": [{"key": "gpu", "effect": "NoSchedule"}]},
        "status": {"allocatable": {"cpu": "4", "memory": "8Gi"}},
    }
    found = openness_of(node, [{"spec": {"containers": [container(cpu="1500m")]}}])
    assert found == Openness(
        True, (Taint("gpu", "", "NoSchedule"),), {"pool": "a"}, {"cpu": 2.5, "memory": 8 * 2.0**30}
    )


def test_network_devices_and_pods_count_and_gpus_do_not():
    resources = {"limits": {"nvidia.com/gpu": "8", "vpc.amazonaws.com/efa": "4", "nvidia.com/gpumem": "4k"}}
    pod = {"spec": {"containers": [{"name": "m", "resources": resources}]}}
    allocatable = {"nvidia.com/gpu": "8", "vpc.amazonaws.com/efa": "32", "pods": "110"}
    free = openness_of({"metadata": {"name": "n"}, "status": {"allocatable": allocatable}}, [pod]).free
    assert free == {"vpc.amazonaws.com/efa": 28.0, "pods": 109.0}
    assert scheduling_of(pod["spec"], ()).requests == {"vpc.amazonaws.com/efa": 4.0}


@pytest.mark.parametrize(
    ("changes", "closed"),
    [
        ({}, False),
        ({"status": {"conditions": [{"type": "Ready", "status": "True"}]}}, False),
        ({"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}}, True),
        ({"status": {"conditions": [{"type": "DiskPressure", "status": "False"}]}}, False),
        ({"metadata": {"name": "n", "deletionTimestamp": "2026-01-01T00:00:00Z"}}, True),
    ],
)
def test_a_node_that_is_not_ready_or_is_deleted_takes_no_pod(changes, closed):
    assert openness_of({"metadata": {"name": "n"}} | changes, []).unschedulable is closed


@pytest.mark.parametrize(
    ("term", "kept_off"),
    [
        ({"labelSelector": {"matchLabels": {"app": "a"}}}, True),
        ({"labelSelector": {"matchLabels": {"app": "b"}}}, False),
        ({"labelSelector": {"matchLabels": {"app": "a"}}, "namespaces": ["other"]}, False),
        ({"labelSelector": {"matchLabels": {"app": "a"}}, "namespaceSelector": {}}, True),
        ({}, False),
    ],
)
def test_the_anti_affinity_of_a_pod_keeps_others_off_its_node(term, kept_off):
    affinity = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    guard = {"metadata": {"name": "g", "namespace": "ml"}, "spec": {"affinity": affinity}}
    [one] = openness_of({"metadata": {"name": "n"}}, [guard]).repels
    assert one.keeps_off("ml", {"app": "a"}) is kept_off


def test_one_unreadable_pod_makes_only_the_free_capacity_unknown():
    node = {"metadata": {"name": "n"}, "status": {"allocatable": {"cpu": "4"}}}
    found = openness_of(node, [{"spec": {"containers": [container(cpu="lots")]}}])
    assert found == Openness()
    assert refusal(Scheduling(requests={"cpu": 1.0}), found) is not None


@given(st.dictionaries(st.sampled_from(["a", "b"]), st.sampled_from(["1", "2"])), st.booleans())
def test_a_pod_without_requirements_goes_wherever_the_node_is_open(labels, cordoned):
    assert (refusal(Scheduling(), Openness(unschedulable=cordoned, labels=labels)) is None) is not cordoned
