"""Which nodes can attach a pod's volumes, from claims and volumes as the API writes them."""

import pytest

from gpuwise.model.scheduling import Openness, refusal
from gpuwise.sources.kubernetes.inventory import inventory_of
from gpuwise.sources.kubernetes.scheduling import scheduling_of
from gpuwise.sources.kubernetes.volumes import Volumes

ZONE, REGION = "topology.kubernetes.io/zone", "topology.kubernetes.io/region"
OLD_ZONE = "failure-domain.beta.kubernetes.io/zone"
HOST = "kubernetes.io/hostname"


def claim(name="data", volume="pv-1", phase="Bound", **metadata):
    return {
        "metadata": {"name": name, "namespace": "ml"} | metadata,
        "spec": {"volumeName": volume} if volume else {},
        "status": {"phase": phase},
    }


def volume(name="pv-1", *, affinity=None, labels=None, modes=("ReadWriteOnce",), source="csi"):
    spec = {"accessModes": list(modes), source: {}}
    if affinity is not None:
        terms = [{"matchExpressions": [{"key": k, "operator": "In", "values": v}]} for k, v in affinity]
        spec["nodeAffinity"] = {"required": {"nodeSelectorTerms": terms}}
    return {"metadata": {"name": name, "labels": labels}, "spec": spec}


def pod(*volumes, name="p", phase="Running", **spec):
    listed = [{"name": f"v{at}"} | one for at, one in enumerate(volumes)]
    metadata = {"name": name, "namespace": "ml", "uid": name, "creationTimestamp": "2026-01-01T00:00:00Z"}
    containers = [{"name": "m", "resources": {"limits": {"nvidia.com/gpu": "1"}}}]
    return {
        "metadata": metadata,
        "spec": {"volumes": listed, "containers": containers, "nodeName": "n1"} | spec,
        "status": {"phase": phase},
    }


def uses(name="data"):
    return {"persistentVolumeClaim": {"claimName": name}}


def scheduled(one, *, claims=(), volumes=(), pods=()):
    """What a pod requires of its node, in a cluster with these claims, volumes and further pods."""
    objects = {"PersistentVolumeClaim": list(claims), "PersistentVolume": list(volumes), "Pod": [one, *pods]}
    return scheduling_of(one["spec"], Volumes(objects).reach(one))


def goes_to(scheduling, *nodes):
    return [refusal(scheduling, Openness(labels=labels)) is None for labels in nodes]


def test_a_volumes_affinity_restricts_its_pod_together_with_the_pods_own():
    one = pod(uses(), nodeSelector={"gpu": "a100"})
    zonal = volume(affinity=[("topology.ebs.csi.aws.com/zone", ["a"]), (ZONE, ["a"])])
    found = scheduled(one, claims=[claim()], volumes=[zonal])
    assert found.tied is None
    assert goes_to(
        found,
        {"gpu": "a100", "topology.ebs.csi.aws.com/zone": "a"},
        {"gpu": "a100", ZONE: "a"},
        {"gpu": "a100", ZONE: "b"},
        {"gpu": "l4", ZONE: "a"},
    ) == [True, True, False, False]


@pytest.mark.parametrize(
    ("labels", "node", "attached"),
    [
        ({ZONE: "a"}, {ZONE: "a"}, True),
        ({ZONE: "a"}, {ZONE: "b"}, False),
        ({ZONE: "a"}, {}, False),
        ({ZONE: "a__b", REGION: "r"}, {ZONE: "b", REGION: "r"}, True),
        ({ZONE: "a__b", REGION: "r"}, {ZONE: "c", REGION: "r"}, False),
        ({ZONE: "a__b", REGION: "r"}, {ZONE: "b", REGION: "s"}, False),
        ({OLD_ZONE: "a"}, {OLD_ZONE: "a"}, True),
        ({OLD_ZONE: "a"}, {ZONE: "a"}, True),  # the node has the label that replaced it
        ({OLD_ZONE: "a"}, {ZONE: "b"}, False),
        ({OLD_ZONE: "a"}, {OLD_ZONE: "b", ZONE: "a"}, False),
        ({"team": "x"}, {}, True),
    ],
)
def test_zone_and_region_labels_of_a_volume_restrict_its_pod(labels, node, attached):
    found = scheduled(pod(uses()), claims=[claim()], volumes=[volume(labels=labels)])
    assert goes_to(found, node) == [attached]


def test_the_scheduler_checks_a_volumes_labels_beside_its_affinity():
    both = volume(affinity=[("csi", ["yes"])], labels={ZONE: "a"})
    found = scheduled(pod(uses()), claims=[claim()], volumes=[both])
    assert goes_to(found, {"csi": "yes", ZONE: "a"}, {"csi": "yes", ZONE: "b"}, {ZONE: "a"}) == [True, False, False]


def test_all_volumes_of_a_pod_restrict_it():
    found = scheduled(
        pod(uses("a"), uses("b")),
        claims=[claim("a", "pv-a"), claim("b", "pv-b")],
        volumes=[volume("pv-a", affinity=[(ZONE, ["a", "b"])]), volume("pv-b", affinity=[(ZONE, ["b", "c"])])],
    )
    assert goes_to(found, {ZONE: "a"}, {ZONE: "b"}, {ZONE: "c"}) == [False, True, False]


def test_a_local_volume_goes_nowhere_else():
    local = volume(affinity=[(HOST, ["n1"])], source="local")
    found = scheduled(pod(uses()), claims=[claim()], volumes=[local])
    assert goes_to(found, {HOST: "n1"}, {HOST: "n2"}) == [True, False]


@pytest.mark.parametrize("source", ["nfs", "csi"])
def test_a_volume_without_affinity_is_attached_on_every_node(source):
    shared = volume(modes=["ReadWriteMany"], source=source)
    neighbour = pod(uses(), name="q")
    found = scheduled(pod(uses()), claims=[claim()], volumes=[shared], pods=[neighbour])
    assert goes_to(found, {}) == [True]


@pytest.mark.parametrize(
    ("modes", "other", "tied"),
    [
        (["ReadWriteOnce"], pod(uses(), name="q"), True),
        (["ReadWriteOncePod"], pod(uses(), name="q"), True),
        (["ReadWriteOnce"], pod(uses(), name="q", nodeName=None), True),
        ([], pod(uses(), name="q"), True),
        (["ReadWriteOnce"], pod(uses(), name="q", phase="Succeeded"), False),
        (["ReadWriteOnce"], pod(uses("other"), name="q"), False),
        (["ReadWriteOnce", "ReadOnlyMany"], pod(uses(), name="q"), False),
        (["ReadWriteMany"], pod(uses(), name="q"), False),
    ],
)
def test_a_volume_of_one_node_that_another_pod_uses_ties(modes, other, tied):
    found = scheduled(pod(uses()), claims=[claim()], volumes=[volume(modes=modes)], pods=[other])
    assert (found.tied is not None) is tied
    if tied:
        assert "data is also used by q" in found.tied


def test_a_pod_of_another_namespace_uses_another_claim():
    other = pod(uses(), name="q")
    other["metadata"]["namespace"] = "web"
    assert scheduled(pod(uses()), claims=[claim()], volumes=[volume()], pods=[other]).tied is None


@pytest.mark.parametrize(
    ("claims", "volumes", "reason"),
    [
        ([], [volume()], "data was not found"),
        ([claim(volume=None, phase="Pending")], [], "data is not bound"),
        ([claim(phase="Pending")], [volume()], "data is not bound"),
        ([claim(phase="Lost")], [], "has lost its volume"),
        ([claim(deletionTimestamp="2026-01-01T00:00:00Z")], [volume()], "is being deleted"),
        ([claim()], [], "PersistentVolume pv-1, which was not found"),
        ([claim()], [volume(source="hostPath")], "a volume of its node"),
        ([claim()], [{"metadata": {"name": "pv-1"}, "spec": {"nodeAffinity": "odd"}}], "cannot be read"),
        ([claim() | {"spec": None}], [volume()], "cannot be read"),
    ],
)
def test_a_claim_whose_volume_is_not_known_ties(claims, volumes, reason):
    assert reason in scheduled(pod(uses()), claims=claims, volumes=volumes).tied


def test_a_host_path_volume_with_an_affinity_goes_by_it():
    host_path = volume(affinity=[(HOST, ["n1"])], source="hostPath")
    assert goes_to(scheduled(pod(uses()), claims=[claim()], volumes=[host_path]), {HOST: "n1"}) == [True]


def test_the_claim_of_an_ephemeral_volume_has_the_names_of_pod_and_volume():
    one = pod({"name": "scratch", "ephemeral": {"volumeClaimTemplate": {}}})
    zonal = volume(affinity=[(ZONE, ["a"])])
    assert "p-scratch was not found" in scheduled(one).tied
    found = scheduled(one, claims=[claim("p-scratch")], volumes=[zonal])
    assert goes_to(found, {ZONE: "a"}, {ZONE: "b"}) == [True, False]


@pytest.mark.parametrize(
    ("given", "tied"),
    [
        ({}, False),
        ({"emptyDir": {}}, False),
        ({"configMap": {"name": "c"}}, False),
        ({"nfs": {"server": "s", "path": "/"}}, False),
        ({"hostPath": {"path": "/data"}}, True),
        ({"awsElasticBlockStore": {"volumeID": "vol-1"}}, True),
        ({"gcePersistentDisk": {"pdName": "disk"}}, True),
    ],
)
def test_volumes_without_a_claim(given, tied):
    assert (scheduled(pod(given)).tied is not None) is tied


@pytest.mark.parametrize(
    ("listed", "missing"),
    [
        ({}, "list persistentvolumeclaims and persistentvolumes:"),
        ({"PersistentVolumeClaim": [claim()]}, "list persistentvolumes:"),
        ({"PersistentVolume": [volume()]}, "list persistentvolumeclaims:"),
    ],
)
def test_a_missing_right_ties_pods_with_claims_and_no_others(listed, missing):
    with_claim, without = pod(uses()), pod({"emptyDir": {}}, name="q")
    found = inventory_of({"Pod": [with_claim, without]} | listed, taken_s=0)
    by_name = {one.ref.name: one.pods[0].scheduling.tied for one in found.workloads}
    assert by_name["q"] is None
    assert missing in by_name["p"]


def test_many_volumes_of_one_zone_are_one_condition_and_too_many_alternatives_tie():
    names = [f"c{at}" for at in range(30)]
    one, claims = pod(*map(uses, names)), [claim(name, f"pv-{name}") for name in names]
    same = [volume(f"pv-{name}", affinity=[(ZONE, ["a"]), (OLD_ZONE, ["a"])]) for name in names]
    found = scheduled(one, claims=claims, volumes=same)
    assert (found.tied, len(found.terms)) == (None, 2)
    each = [volume(f"pv-{name}", affinity=[(ZONE, ["a", name]), (OLD_ZONE, ["a", name])]) for name in names]
    assert "too many alternatives" in scheduled(one, claims=claims, volumes=each).tied
