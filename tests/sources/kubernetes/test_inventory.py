"""The inventory, of the emulated cluster and of hand-made objects."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.cluster_under_test import NAMESPACE

from gpuwise.cluster import KubernetesCluster
from gpuwise.emulate.objects import autoscaler, budget, deployment, job, node, notebook, pod, pod_spec, statefulset
from gpuwise.model.changes import MoveToSpot, Resize, ScaleTo
from gpuwise.model.command import enactable
from gpuwise.model.errors import ClusterError, Gone, InputError
from gpuwise.model.inventory import CapacityType, GpuRequest, Start, WorkloadClass
from gpuwise.model.kinds import STOPPABLE
from gpuwise.model.scheduling import Requirement
from gpuwise.sources.kubernetes.inventory import KubernetesInventory, RecordedObjects, inventory_of
from gpuwise.sources.kubernetes.listings import ALL_COLLECTIONS, COLLECTIONS, OPTIONAL_COLLECTIONS, VOLUME_COLLECTIONS

NOW_S = 1_795_000_000
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 9) | st.sampled_from(["", "1", "x"]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(
            st.sampled_from(
                [
                    "template",
                    "spec",
                    "replicas",
                    "containers",
                    "resources",
                    "limits",
                    "nvidia.com/gpu",
                    "predictor",
                    "workerGroupSpecs",
                    "headGroupSpec",
                    "leaderWorkerTemplate",
                    "size",
                    "pytorchReplicaSpecs",
                ]
            ),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=12,
)
CHANGES = (
    ScaleTo(0),
    Resize(GpuRequest("nvidia.com/gpu", 2), GpuRequest("nvidia.com/gpu", 1)),
    MoveToSpot(),
)
LABELS = {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB", "topology.kubernetes.io/region": "eu-1"}


def created(item, **metadata):
    """As returned by the API: with uid and times."""
    name = item["metadata"]["name"]
    given = {"uid": f"{item['kind']}-{name}", "creationTimestamp": "2026-01-01T00:00:00Z"} | metadata
    return item | {"metadata": given | item["metadata"] | metadata}


def owned(item, owner, *, kind=None):
    reference = {"kind": kind or owner["kind"], "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}
    return created(item, ownerReferences=[reference | {"controller": True}])


def inventory(*items):
    objects = {}
    for item in items:
        objects.setdefault(item["kind"], []).append(item)
    return inventory_of(objects, taken_s=NOW_S)


def only(*items):
    [workload] = inventory(*items).workloads
    return workload


@pytest.fixture(scope="module")
def running_fleet(start_cluster, tmp_path_factory):
    """A fleet that no test changes, created once."""
    objects = [
        node("gpu-0", labels=LABELS | {"karpenter.sh/capacity-type": "spot"}),
        node("gpu-1", gpus=0, mig={"1g.10gb": 7}, labels=LABELS | {"nvidia.com/gpu.count": "1"}),
        node("cpu-0", gpus=0),
        deployment("llm", replicas=2, labels={"team": "nlp"}),
        deployment("web", spec=pod_spec(gpus=0)),
        deployment("asleep", replicas=0),
        statefulset("cache", spec=pod_spec(gpus=2)),
        job("train", labels={"gpuwise.dev/class": "training"}),
        notebook("ada"),
        pod("alone", spec=pod_spec(resource="nvidia.com/mig-1g.10gb")),
        budget("llm", app="llm", minAvailable=1),
        autoscaler("hpa", kind="Deployment", target="llm"),
    ]
    with start_cluster(objects) as api:
        kubeconfig = api.write_kubeconfig(tmp_path_factory.mktemp("kube") / "config")
        with KubernetesCluster.connect(kubeconfig=kubeconfig, context=None, wait_budget_s=0.3) as cluster:
            yield api, cluster


@pytest.fixture
def fleet(running_fleet):
    api, cluster = running_fleet
    api.forget()
    return api, cluster


AMOUNTS = st.one_of(
    st.sampled_from(["1", "3k", "3000", "1e3", "0", "500m", "0.5", "-1", "", "many", "1Gi", "4294967296Ei"]),
    st.integers(-5, 10_000),
    st.floats(allow_nan=True),
    st.none(),
    st.lists(st.integers(), max_size=1),
)
RESOURCES = st.sampled_from(
    ["nvidia.com/gpu", "nvidia.com/gpu.shared", "nvidia.com/mig-1g.10gb", "nvidia.com/gpumem", "nvidia.com/gpucores"]
)
RESOURCE_LISTS = st.one_of(st.none(), st.text(max_size=2), st.dictionaries(RESOURCES, AMOUNTS, max_size=3))


class TestUnreadableObjects:
    """I32: no object of the cluster ends a run; an unreadable object excludes one workload."""

    @given(limits=RESOURCE_LISTS, requests=RESOURCE_LISTS, kind=st.sampled_from(["Pod", "Deployment", "Job"]))
    def test_incident_hami_1704_any_amounts(self, limits, requests, kind):
        spec = {"containers": [{"name": "main", "resources": {"limits": limits, "requests": requests}}]}
        odd = pod("odd", spec=spec) if kind == "Pod" else deployment("odd", spec=spec) | {"kind": kind}
        found = inventory(created(odd), created(deployment("sound")))
        assert "sound" in {one.ref.name for one in found.workloads}
        assert not {one.ref for one in found.unread} & {one.ref for one in found.workloads}

    @given(st.sampled_from(["RayCluster", "LeaderWorkerSet", "InferenceService", "PyTorchJob", "Rollout"]), JSON)
    def test_i32_any_spec_of_a_custom_resource(self, kind, spec):
        odd = created({"kind": kind, "metadata": {"name": "odd", "namespace": "default"}, "spec": spec})
        found = inventory(odd, created(deployment("sound")))
        assert "sound" in {one.ref.name for one in found.workloads}

    @pytest.mark.parametrize("kind", ALL_COLLECTIONS)
    @pytest.mark.parametrize("item", [{}, {"metadata": None}, {"metadata": {"namespace": "ml"}}])
    def test_i32_an_object_without_a_name_costs_only_itself(self, kind, item):
        sound = {"Node": [created(node("n1", labels=LABELS))], "Pod": [created(pod("a", gpus=1))]}
        found = inventory_of(sound | {kind: [*sound.get(kind, []), item]}, taken_s=NOW_S)
        assert (list(found.nodes), len(found.workloads)) == (["n1"], 1)
        [one] = found.unread
        assert (one.ref.kind, one.problem) == (kind, "it has no metadata.name")

    def test_a_pod_without_a_uid_makes_its_node_unknown(self):
        item = {"metadata": {"name": "a", "namespace": "ml"}, "spec": {"nodeName": "n1"}}
        [one] = inventory_of({"Pod": [item]}, taken_s=NOW_S).unread
        assert (one.problem, one.nodes) == ("it has no metadata.uid", frozenset({"n1"}))

    def test_an_unreadable_quantity_is_reported_with_its_pod(self):
        owner = created(deployment("llm"))
        broken = owned(pod("llm-0", spec=pod_spec() | {"nodeName": "gpu-0"}), owner)
        broken["spec"]["containers"][0]["resources"] = {"limits": {"nvidia.com/gpu": "500m"}}
        found = inventory(owner, broken, created(deployment("sound")))
        assert [one.ref.name for one in found.workloads] == ["sound"]
        [unread] = found.unread
        assert unread.ref.name == "llm"
        assert "Pod/llm-0: '500m' is not a number of devices" in unread.problem
        assert unread.nodes == {"gpu-0"}

    @pytest.mark.parametrize(
        ("limits", "request_"),
        [
            ({"nvidia.com/gpu": "2", "nvidia.com/gpumem": "3k", "nvidia.com/gpucores": "30"}, ("nvidia.com/gpu", 2)),
            ({"nvidia.com/gpumem": "7k", "nvidia.com/gpucores": "30"}, ("nvidia.com/gpu", 1)),
            ({"nvidia.com/gpumem-percentage": "50"}, ("nvidia.com/gpu", 1)),
            ({"nvidia.com/gpu": "1k"}, ("nvidia.com/gpu", 1000)),
        ],
    )
    def test_hamis_shares_are_not_gpus(self, limits, request_):
        spec = {"containers": [{"name": "main", "resources": {"limits": limits}}]}
        found = only(created(pod("p", spec=spec)))
        assert found.request == GpuRequest(*request_)
        assert found.shares_card == any("gpumem" in name for name in limits)


class TestOfACluster:
    def test_every_workload_that_requests_gpus(self, fleet):
        _, cluster = fleet
        found = KubernetesInventory(cluster).snapshot(NOW_S)
        assert found.taken_s == NOW_S
        assert [str(one.ref) for one in found.workloads] == [
            f"{NAMESPACE}/Deployment/asleep",
            f"{NAMESPACE}/Deployment/llm",
            f"{NAMESPACE}/Job/train",
            f"{NAMESPACE}/Notebook/ada",
            f"{NAMESPACE}/Pod/alone",
            f"{NAMESPACE}/StatefulSet/cache",
        ]
        llm = found.workloads[1]
        assert (llm.replicas, llm.request, llm.labels) == (2, GpuRequest("nvidia.com/gpu", 1), {"team": "nlp"})
        assert {(one.node, one.phase, one.ready) for one in llm.pods} == {("gpu-0", "Running", True)}
        assert len(llm.pods) == 2
        assert all(one.started_s for one in llm.pods)
        assert (llm.managed_by, llm.disruptions_allowed) == (("HorizontalPodAutoscaler/hpa",), 1)
        asleep, _, train, ada, alone, cache = found.workloads
        assert (asleep.replicas, asleep.pods, asleep.request) == (0, (), GpuRequest("nvidia.com/gpu", 1))
        assert (train.workload_class, train.replicas) == (WorkloadClass.TRAINING, 1)
        assert (ada.workload_class, ada.replicas) == (WorkloadClass.NOTEBOOK, 1)
        assert [one.name for one in ada.pods] == ["ada-0"]
        assert (alone.replicas, alone.request) == (None, GpuRequest("nvidia.com/mig-1g.10gb", 1))
        assert (cache.request, cache.disruptions_allowed) == (GpuRequest("nvidia.com/gpu", 2), None)

    def test_nodes_with_gpus(self, fleet):
        _, cluster = fleet
        nodes = KubernetesInventory(cluster).snapshot(NOW_S).nodes
        assert set(nodes) == {"gpu-0", "gpu-1"}
        whole, cut = nodes["gpu-0"], nodes["gpu-1"]
        assert (whole.gpu_count, whole.capacity_type, whole.region) == (8, CapacityType.SPOT, "eu-1")
        assert whole.gpu_type.name == "A100-80GB"
        assert (cut.gpu_count, cut.mig, cut.capacity_type) == (1, {"1g.10gb": 7}, None)

    @pytest.mark.parametrize("path", [*COLLECTIONS.values(), *OPTIONAL_COLLECTIONS.values()])
    @pytest.mark.parametrize("code", [403, 429, 500])
    def test_incident_autoscaler_7419_one_failed_list_fails_the_snapshot(self, fleet, path, code):
        """I4, for each list."""
        api, cluster = fleet
        api.fail(code, verb="list", path=f"^{path}$", times=100)
        with pytest.raises(ClusterError):
            KubernetesInventory(cluster).snapshot(NOW_S)

    @pytest.mark.parametrize("path", VOLUME_COLLECTIONS.values())
    @pytest.mark.parametrize("code", [403, 404])
    def test_without_the_lists_of_volumes_nothing_but_a_pods_reach_is_unknown(self, fleet, path, code):
        api, cluster = fleet
        whole = KubernetesInventory(cluster).snapshot(NOW_S)
        api.fail(code, verb="list", path=f"^{path}$", times=100)
        assert KubernetesInventory(cluster).snapshot(NOW_S) == whole  # no pod of this fleet has a claim

    @pytest.mark.parametrize("path", VOLUME_COLLECTIONS.values())
    @pytest.mark.parametrize("code", [410, 429, 500])
    def test_i4_a_list_of_volumes_that_fails_for_another_reason_fails_the_snapshot(self, fleet, path, code):
        api, cluster = fleet
        api.fail(code, verb="list", path=f"^{path}$", times=10_000)
        with pytest.raises(ClusterError):
            KubernetesInventory(cluster).snapshot(NOW_S)

    @pytest.mark.parametrize("path", OPTIONAL_COLLECTIONS.values())
    def test_a_kind_that_is_not_installed_is_skipped(self, fleet, path):
        api, cluster = fleet
        api.fail(404, verb="list", path=f"^{path}$")
        assert len(KubernetesInventory(cluster).snapshot(NOW_S).workloads) >= 5

    @pytest.mark.parametrize("path", COLLECTIONS.values())
    def test_a_kind_that_every_cluster_has_is_required(self, fleet, path):
        api, cluster = fleet
        api.fail(404, verb="list", path=f"^{path}$")
        with pytest.raises(Gone):
            KubernetesInventory(cluster).snapshot(NOW_S)

    @pytest.mark.parametrize("path", OPTIONAL_COLLECTIONS.values())
    def test_an_expired_list_is_not_a_missing_kind(self, fleet, path):
        api, cluster = fleet
        api.fail(410, verb="list", path=f"^{path}$", times=10_000)
        with pytest.raises(ClusterError, match="expired"):
            KubernetesInventory(cluster).snapshot(NOW_S)

    def test_a_recording_reads_the_same(self, fleet, tmp_path):
        _, cluster = fleet
        items = []
        for kind, path in ALL_COLLECTIONS.items():
            items += [item | {"kind": kind} for item in cluster.list_optional(path)]
        path = tmp_path / "inventory.json"
        path.write_text(json.dumps({"kind": "List", "apiVersion": "v1", "items": items}))
        current = KubernetesInventory(cluster).snapshot(NOW_S)
        assert KubernetesInventory(RecordedObjects(path)).snapshot(NOW_S) == current

    def test_a_recording_of_an_earlier_version_has_no_volumes_and_ties_pods_with_claims(self, tmp_path):
        volume = {"name": "v", "persistentVolumeClaim": {"claimName": "data"}}
        items = [created(node("n1", labels=LABELS)), created(pod("p", spec=pod_spec() | {"volumes": [volume]}))]
        path = tmp_path / "inventory.json"
        path.write_text(json.dumps({"kind": "List", "apiVersion": "v1", "items": items}))
        [workload] = KubernetesInventory(RecordedObjects(path)).snapshot(NOW_S).workloads
        assert workload.pods[0].scheduling.tied == "its PersistentVolumeClaim data was not found"

    @pytest.mark.emulator_only(reason="the fleet of this module already uses the cluster")
    def test_volumes_of_a_cluster_restrict_the_pods_that_use_them(self, start_cluster, tmp_path):
        zone, size = {"topology.kubernetes.io/zone": "a"}, {"storage": "1Gi"}
        volume_spec = {"accessModes": ["ReadWriteOnce"], "capacity": size, "csi": {"driver": "d", "volumeHandle": "v"}}
        claim_spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": size}, "volumeName": "pv-of-data"}
        used = {"name": "v", "persistentVolumeClaim": {"claimName": "data"}}
        head = {"apiVersion": "v1", "metadata": {"name": "pv-of-data", "labels": zone}}
        objects = [
            node("gpu-a", labels=LABELS | zone),
            head | {"kind": "PersistentVolume", "spec": volume_spec | {"storageClassName": "none"}},
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {"name": "data", "namespace": NAMESPACE},
                "spec": claim_spec | {"storageClassName": "none"},
            },
            pod("p", spec=pod_spec() | {"volumes": [used]}),
        ]
        with start_cluster(objects) as api:
            kubeconfig = api.write_kubeconfig(tmp_path / "config")
            with KubernetesCluster.connect(kubeconfig=kubeconfig, context=None, wait_budget_s=0.3) as cluster:
                [workload] = KubernetesInventory(cluster).snapshot(NOW_S).workloads
                [running] = workload.pods
                assert (running.node, running.scheduling.tied) == ("gpu-a", None)
                assert running.scheduling.terms == ((Requirement("topology.kubernetes.io/zone", "In", ("a",)),),)
                api.fail(403, verb="list", path="^/api/v1/persistentvolumes$", times=100)
                [workload] = KubernetesInventory(cluster).snapshot(NOW_S).workloads
        assert workload.pods[0].scheduling.tied.endswith("cannot list persistentvolumes: no right, or not served")


class TestOwners:
    def test_a_pod_belongs_to_its_deployment(self):
        top = created(deployment("llm"))
        one = owned({"kind": "ReplicaSet", "metadata": {"name": "llm-1", "namespace": "default"}, "spec": {}}, top)
        found = only(top, one, owned(pod("llm-1-a"), one))
        assert (found.ref.kind, found.ref.uid) == ("Deployment", "Deployment-llm")
        assert [one.name for one in found.pods] == ["llm-1-a"]

    @pytest.mark.parametrize(
        ("status", "started"),
        [
            ({"startTime": "1970-01-01T00:10:00Z"}, 600),
            (
                {
                    "conditions": [
                        {"type": "PodScheduled", "status": "True", "lastTransitionTime": "1970-01-01T00:05:00Z"}
                    ]
                },
                300,
            ),
            ({}, 60),
        ],
    )
    def test_a_pending_pod_has_its_gpus_since_it_was_assigned_to_its_node(self, status, started):
        """The kubelet sets startTime before it pulls images; before that, the scheduler's time counts."""
        item = created(pod("p"))
        item["metadata"]["creationTimestamp"] = "1970-01-01T00:01:00Z"
        item["status"] = {"phase": "Pending"} | status
        assert only(item | {"spec": item["spec"] | {"nodeName": "a1"}}).pods[0].started_s == started
        assert only(item | {"status": {"phase": "Pending"}}).pods[0].started_s is None

    def test_an_unlisted_owner_is_known_by_its_reference(self):
        cluster = {"kind": "RayCluster", "metadata": {"name": "ray", "uid": "ray-1"}}
        head = owned(pod("ray-head", spec=pod_spec(gpus=0)), cluster)
        found = only(head, owned(pod("ray-0"), cluster), owned(pod("ray-1"), cluster))
        assert (str(found.ref), found.ref.uid, found.replicas) == ("default/RayCluster/ray", "ray-1", None)
        assert [one.name for one in found.pods] == ["ray-0", "ray-1"]

    def test_an_operator_above_a_deployment_is_the_workload(self):
        top = created(deployment("llm", replicas=0))
        found = only(owned(top, {"kind": "LlmService", "metadata": {"name": "svc", "uid": "svc-1"}}))
        assert (found.ref.kind, found.request) == ("LlmService", GpuRequest("nvidia.com/gpu", 1))

    def test_the_job_of_a_cronjob_is_a_job(self):
        cron = {"kind": "CronJob", "metadata": {"name": "nightly", "uid": "c"}}
        one = owned(job("nightly-1"), cron)
        found = only(one, owned(pod("nightly-1-a"), one))
        assert (found.ref.kind, found.workload_class) == ("Job", WorkloadClass.BATCH)

    def test_a_finished_job_keeps_the_names_of_its_pods(self):
        """Its pods have cost earlier in the window."""
        status = {"conditions": [{"type": "Complete", "status": "True"}]}
        one = created(job("train", parallelism=2)) | {"status": status}
        pods = [owned(pod(f"train-{n}"), one) | {"status": {"phase": "Succeeded"}} for n in range(2)]
        found = only(one, *pods)
        assert (found.replicas, [one.phase for one in found.pods]) == (0, ["Succeeded", "Succeeded"])

    def test_an_inference_services_request_is_in_its_predictor(self):
        limits = {"resources": {"limits": {"nvidia.com/gpu": "2"}}}
        spec = {"predictor": {"model": {"name": "m"} | limits}}
        item = {"kind": "InferenceService", "metadata": {"name": "svc", "namespace": "default"}, "spec": spec}
        assert only(created(item)).request == GpuRequest("nvidia.com/gpu", 2)

    def test_objects_without_gpu_requests_are_not_workloads(self):
        assert inventory(created(deployment("web", spec=pod_spec(gpus=0)))).workloads == ()

    def test_a_request_of_zero_gpus_is_no_request(self):
        spec = {"containers": [{"name": "m", "resources": {"limits": {"nvidia.com/gpu": "0"}}}]}
        assert inventory(created(pod("p", spec=spec))).workloads == ()

    def test_containers_add_up_and_init_containers_do_not(self):
        spec = pod_spec(gpus=2)
        spec["containers"] = spec["containers"] * 2
        spec["initContainers"] = pod_spec(gpus=3)["containers"]
        assert only(created(pod("p", spec=spec))).request == GpuRequest("nvidia.com/gpu", 4)

    def test_sidecars_add_up_and_run_beside_later_init_containers(self):
        spec = pod_spec(gpus=2)
        (sidecar,), (init,) = pod_spec(gpus=1)["containers"], pod_spec(gpus=4)["containers"]
        spec["initContainers"] = [sidecar | {"restartPolicy": "Always"}]
        assert only(created(pod("p", spec=spec))).request == GpuRequest("nvidia.com/gpu", 3)
        spec["initContainers"].append(init)
        assert only(created(pod("p", spec=spec))).request == GpuRequest("nvidia.com/gpu", 5)

    def test_the_same_name_with_another_uid_is_another_workload(self):
        first = inventory(created(deployment("llm"))).workloads[0]
        assert first.ref not in inventory(created(deployment("llm"), uid="new")).by_ref()


def by_an_operator(kind, name, spec, **metadata):
    return created({"kind": kind, "metadata": {"name": name, "namespace": "default"} | metadata, "spec": spec})


def template(gpus):
    return {"spec": pod_spec(gpus=gpus)}


RAY = {
    "headGroupSpec": {"template": template(0)},
    "workerGroupSpecs": [
        {"groupName": "gpu", "replicas": 3, "numOfHosts": 2, "template": template(4)},
        {"groupName": "cpu", "replicas": 9, "template": template(0)},
    ],
}
TRAIN = {"Master": {"replicas": 1, "template": template(8)}, "Worker": {"replicas": 3, "template": template(8)}}
GROUP = {"size": 4, "leaderTemplate": template(0), "workerTemplate": template(2)}
SET = [{"name": "w", "replicas": 2, "template": {"spec": {"parallelism": 3, "template": template(2)}}}]
LLM = pod_spec(gpus=4)
ENDED = {"conditions": [{"type": "Succeeded", "status": "True"}]}


class TestOperators:
    @pytest.mark.parametrize(
        ("kind", "spec", "status", "expected"),
        [
            ("RayCluster", RAY, {}, (6, 4, WorkloadClass.ENDPOINT)),
            ("RayCluster", RAY | {"suspend": True}, {}, (0, 4, WorkloadClass.ENDPOINT)),
            ("RayService", {"rayClusterConfig": RAY}, {}, (6, 4, WorkloadClass.ENDPOINT)),
            ("RayJob", {"rayClusterSpec": RAY}, {}, (6, 4, WorkloadClass.BATCH)),
            ("RayJob", {"rayClusterSpec": RAY, "suspend": True}, {}, (0, 4, WorkloadClass.BATCH)),
            ("RayJob", {"rayClusterSpec": RAY}, {"jobDeploymentStatus": "Complete"}, (0, 4, WorkloadClass.BATCH)),
            ("LeaderWorkerSet", {"replicas": 2, "leaderWorkerTemplate": GROUP}, {}, (6, 2, WorkloadClass.ENDPOINT)),
            (
                "LeaderWorkerSet",
                {"leaderWorkerTemplate": {"size": 2, "workerTemplate": template(8)}},
                {},
                (2, 8, WorkloadClass.ENDPOINT),
            ),
            ("PyTorchJob", {"pytorchReplicaSpecs": TRAIN}, {}, (4, 8, WorkloadClass.TRAINING)),
            ("PyTorchJob", {"pytorchReplicaSpecs": TRAIN}, ENDED, (0, 8, WorkloadClass.TRAINING)),
            (
                "PyTorchJob",
                {"pytorchReplicaSpecs": TRAIN, "runPolicy": {"suspend": True}},
                {},
                (0, 8, WorkloadClass.TRAINING),
            ),
            ("Rollout", {"replicas": 3, "template": template(1)}, {}, (3, 1, WorkloadClass.ENDPOINT)),
            ("TFJob", {"tfReplicaSpecs": TRAIN}, {}, (4, 8, WorkloadClass.TRAINING)),
            ("JobSet", {"replicatedJobs": SET}, {}, (6, 2, WorkloadClass.BATCH)),
            ("JobSet", {"replicatedJobs": SET, "suspend": True}, {}, (0, 2, WorkloadClass.BATCH)),
            ("LLMInferenceService", {"replicas": 2, "template": LLM}, {}, (2, 4, WorkloadClass.ENDPOINT)),
        ],
    )
    def test_pods_and_gpu_requests_per_kind(self, kind, spec, status, expected):
        found = only(by_an_operator(kind, "x", spec) | {"status": status})
        assert (found.ref.kind, found.ref.uid) == (kind, f"{kind}-x")
        assert (found.replicas, found.request.count, found.workload_class) == expected
        written = [change.kind for change in CHANGES if enactable(change, found.ref)]
        assert written == (["ScaleTo"] if kind in STOPPABLE else [])

    def test_the_members_of_a_set_act_together(self):
        """A TrainJob makes a JobSet, which makes Jobs: the object at the top is the target (jobset#1178)."""
        top = by_an_operator("TrainJob", "t", {})
        middle = owned(by_an_operator("JobSet", "s", {}), top)
        one = owned(created(job("s-w-0")), middle)
        found = only(top, middle, one, owned(pod("s-w-0-a"), one))
        assert (str(found.ref), found.managed_by) == ("default/TrainJob/t", ())

    def test_the_top_of_the_chain_is_the_workload(self):
        service = by_an_operator("RayService", "chat", {"rayClusterConfig": RAY})
        cluster = owned(by_an_operator("RayCluster", "chat-raycluster-x2z4q", RAY), service)
        found = only(service, cluster, owned(pod("chat-raycluster-x2z4q-gpu-worker-b5b5b"), cluster))
        assert (found.ref.kind, len(found.pods)) == ("RayService", 1)
        assert ("RayCluster", "chat-raycluster-x2z4q") in found.chain

    def test_a_leader_worker_set_owns_its_pods_through_stateful_sets(self):
        top = by_an_operator("LeaderWorkerSet", "llm", {"leaderWorkerTemplate": GROUP})
        leaders = owned(statefulset("llm", spec=pod_spec(gpus=0)), top)
        leader = owned(pod("llm-0", spec=pod_spec(gpus=0)), leaders)
        workers = owned(statefulset("llm-0"), leader)
        assert [str(one.ref) for one in inventory(top, leaders, leader, workers).workloads][-1] == (
            "default/LeaderWorkerSet/llm"
        )

    def test_knative_objects_between_an_inference_service_and_its_pods(self):
        limits = {"resources": {"limits": {"nvidia.com/gpu": "1"}}}
        service = by_an_operator("InferenceService", "sum", {"predictor": {"triton": limits, "minReplicas": 1}})
        labels = {"serving.kserve.io/inferenceservice": "sum"}
        revision = {"kind": "Revision", "metadata": {"name": "sum-predictor-00001", "uid": "rev-1"}}
        runs = owned(deployment("sum-predictor-00001-deployment", labels=labels), revision)
        found = only(service, runs)
        assert (found.ref.kind, found.request, found.replicas) == (
            "InferenceService",
            GpuRequest("nvidia.com/gpu", 1),
            None,
        )

    def test_a_rollout_that_references_a_deployments_template(self):
        lender = created(deployment("llm", replicas=0))
        reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "llm"}
        top = by_an_operator("Rollout", "llm", {"replicas": 2, "workloadRef": reference})
        asleep, runs = inventory(lender, top).workloads
        assert (asleep.ref.kind, asleep.replicas, asleep.managed_by) == ("Deployment", 0, ("Rollout/llm",))
        assert (runs.ref.kind, runs.replicas, runs.request) == ("Rollout", 2, GpuRequest("nvidia.com/gpu", 1))

    def test_a_scaled_job_creates_the_next_job(self):
        one = owned(job("batch-x2z4q"), {"kind": "ScaledJob", "metadata": {"name": "batch", "uid": "s"}})
        found = only(one)
        assert (found.ref.kind, found.managed_by) == ("Job", ("ScaledJob/batch",))


class TestStarts:
    """How long a pod took until it was ready."""

    AT = "2026-01-01T00:0{}:00Z"

    def start(self, *, ready="True", at="5", restarts=0, containers=True, scheduled="2"):
        conditions = [
            {"type": "PodScheduled", "status": "True", "lastTransitionTime": self.AT.format(scheduled)},
            {"type": "Ready", "status": ready, "lastTransitionTime": self.AT.format(at)},
        ]
        status = {"phase": "Running", "startTime": self.AT.format("3"), "conditions": conditions}
        if containers:
            status["containerStatuses"] = [{"name": "main", "restartCount": restarts}]
        [one] = only(created(pod("a")) | {"status": status}).pods
        return one.start

    def test_it_is_counted_from_the_assignment_to_a_node(self):
        assert self.start() == Start(ready_s=1_767_225_900, took_s=180)

    @pytest.mark.parametrize(
        "changes",
        [{"ready": "False"}, {"restarts": 1}, {"containers": False}, {"at": "2"}],
        ids=["not ready", "a container was restarted", "no container", "at once"],
    )
    def test_it_is_not_known(self, changes):
        assert self.start(**changes) is None

    def test_a_pod_that_became_ready_long_after_its_start_was_ready_before(self):
        status = {"phase": "Running", "startTime": "2026-01-01T00:00:00Z", "containerStatuses": [{"restartCount": 0}]}
        ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T01:00:01Z"}
        [one] = only(created(pod("a")) | {"status": status | {"conditions": [ready]}}).pods
        assert one.start is None


class TestLabelsAndPolicies:
    @pytest.mark.parametrize(
        ("label", "kind", "expected"),
        [
            ("batch", deployment, WorkloadClass.BATCH),
            ("Batch!", deployment, WorkloadClass.ENDPOINT),
            (None, deployment, WorkloadClass.ENDPOINT),
            (None, job, WorkloadClass.BATCH),
            (None, notebook, WorkloadClass.NOTEBOOK),
            ("training", statefulset, WorkloadClass.TRAINING),
        ],
    )
    def test_the_class(self, label, kind, expected):
        labels = {"gpuwise.dev/class": label} if label else {}
        assert only(created(kind("x", labels=labels))).workload_class is expected

    @pytest.mark.parametrize(
        ("metadata", "expected"),
        [
            (
                {"annotations": {"argocd.argoproj.io/tracking-id": "app:Deployment"}},
                ("ArgoCD/app",),
            ),
            ({"labels": {"argocd.argoproj.io/instance": "app"}}, ("ArgoCD/app",)),
            ({"labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}}, ("Flux/apps",)),
            ({"labels": {"helm.toolkit.fluxcd.io/name": "llm"}}, ("Flux/llm",)),
            ({"labels": {"app.kubernetes.io/managed-by": "Helm"}}, ()),
            (
                {"annotations": {"argocd.argoproj.io/tracking-id": "ml_llm:apps/Deployment:default/llm"}},
                ("ArgoCD/ml_llm",),
            ),
            ({"managedFields": [{"manager": "argocd-controller"}]}, ("ArgoCD/argocd-controller",)),
            ({"managedFields": [{"manager": "kubectl-client-side-apply"}]}, ()),
            (
                {
                    "labels": {"helm.toolkit.fluxcd.io/name": "llm"},
                    "managedFields": [{"manager": "helm-controller"}],
                },
                ("Flux/llm",),
            ),
        ],
    )
    def test_gitops(self, metadata, expected):
        assert only(created(deployment("llm", **metadata))).managed_by == expected

    def test_keda(self):
        scaled = {"kind": "ScaledObject", "metadata": {"name": "so", "namespace": "default"}}
        llm = created(deployment("llm"))
        assert only(llm, scaled | {"spec": {"scaleTargetRef": {"name": "llm"}}}).managed_by == ("ScaledObject/so",)
        other = {"scaleTargetRef": {"name": "llm", "kind": "StatefulSet"}}
        assert only(llm, scaled | {"spec": other}).managed_by == ()

    @pytest.mark.parametrize(
        ("spec", "expected"),
        [
            ({"triggers": [{"type": "prometheus"}]}, "spec.cooldownPeriod of ScaledObject/so"),
            ({"triggers": [{"type": "cron"}]}, ""),
            ({"triggers": [{"type": "cpu"}, {"type": "external-push"}]}, "spec.cooldownPeriod of ScaledObject/so"),
            ({"triggers": [{"type": "cpu"}]}, ""),
            ({"triggers": [{"type": "prometheus"}], "minReplicaCount": 1}, ""),
            ({}, ""),
            ({"triggers": "x"}, ""),
        ],
    )
    def test_what_starts_it_at_its_next_request(self, spec, expected):
        scaled = {"kind": "ScaledObject", "metadata": {"name": "so", "namespace": "default"}}
        found = only(created(deployment("llm")), scaled | {"spec": {"scaleTargetRef": {"name": "llm"}} | spec})
        assert found.activator == expected

    def test_knative_starts_the_pods_of_a_revision(self):
        runs = created(deployment("llm"))
        one = owned(pod("llm-1"), runs)
        one["metadata"]["labels"] = {"serving.knative.dev/revision": "llm-00001"}
        assert only(runs, one).activator == (
            "annotation autoscaling.knative.dev/scale-to-zero-pod-retention-period of the Service"
        )
        assert only(runs, owned(pod("llm-1"), runs)).activator == ""

    def test_an_autoscaler_of_another_namespace(self):
        other = autoscaler("h", kind="Deployment", target="llm", namespace="b")
        assert only(created(deployment("llm")), other).managed_by == ()

    @pytest.mark.parametrize(
        ("budgets", "expected"),
        [
            ([], None),
            ([({"matchLabels": {"a": "1"}}, 3), ({"matchLabels": {}}, 2)], 2),
            ([({"matchLabels": {"a": "2"}}, 0)], None),
            ([({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1", "2"]}]}, 0)], 0),
            ([({"matchExpressions": [{"key": "a", "operator": "Sometimes"}]}, 0)], 0),
            ([({}, None)], 0),
            ([(None, 0)], None),
        ],
    )
    def test_disruption_budgets(self, budgets, expected):
        items = []
        for number, (selector, allowed) in enumerate(budgets):
            item = budget(f"b{number}", app="x")
            item["spec"] = {} if selector is None else {"selector": selector}
            items.append(item | {"status": {} if allowed is None else {"disruptionsAllowed": allowed}})
        assert only(created(pod("p", labels={"a": "1"})), *items).disruptions_allowed == expected

    @pytest.mark.parametrize(
        ("key", "value", "expected"),
        [
            ("karpenter.sh/capacity-type", "spot", CapacityType.SPOT),
            ("karpenter.sh/capacity-type", "on-demand", CapacityType.ON_DEMAND),
            ("karpenter.sh/capacity-type", "reserved", CapacityType.RESERVED),
            ("eks.amazonaws.com/capacityType", "SPOT", CapacityType.SPOT),
            ("eks.amazonaws.com/capacityType", "ON_DEMAND", CapacityType.ON_DEMAND),
            ("cloud.google.com/gke-spot", "true", CapacityType.SPOT),
            ("kubernetes.azure.com/scalesetpriority", "spot", CapacityType.SPOT),
            ("kubernetes.azure.com/scalesetpriority", "regular", CapacityType.ON_DEMAND),
            ("karpenter.sh/capacity-type", "odd", None),
            ("other", "spot", None),
        ],
    )
    def test_capacity_types(self, key, value, expected):
        assert inventory(created(node("n", labels={key: value}))).nodes["n"].capacity_type is expected

    @pytest.mark.parametrize(
        ("labels", "offered", "expected"),
        [
            ({"nvidia.com/gpu.product": "NVIDIA-L4-SHARED", "nvidia.com/gpu.replicas": "4"}, 8, ("L4", 2, {})),
            ({"nvidia.com/gpu.product": "NVIDIA-L4-SHARED", "nvidia.com/gpu.count": "2"}, 8, ("L4", 2, {})),
            (
                {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB-MIG-1g.10gb", "nvidia.com/gpu.count": "14"},
                14,
                ("A100-80GB", 2, {"1g.10gb": 14}),
            ),
            (
                {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB-MIG-1g.20gb"},
                8,
                ("A100-80GB", 2, {"1g.20gb": 8}),
            ),
            ({"nvidia.com/gpu.product": "NVIDIA-A100-PCIE", "nvidia.com/gpu.memory": "40960"}, 1, ("A100-40GB", 1, {})),
            ({"nvidia.com/gpu.product": "Tesla-V100-SXM2-32GB"}, 1, ("V100-32GB", 1, {})),
            ({"cloud.google.com/gke-accelerator": "nvidia-tesla-a100"}, 1, ("A100-40GB", 1, {})),
            ({"cloud.google.com/gke-accelerator": "nvidia-h100-80gb"}, 8, ("H100-80GB", 8, {})),
            ({"karpenter.k8s.aws/instance-gpu-name": "l40s"}, 1, ("L40S", 1, {})),
            ({"karpenter.k8s.aws/instance-gpu-name": "a100"}, 8, (None, 8, {})),
        ],
    )
    def test_cards_are_counted_with_mig_and_time_slicing(self, labels, offered, expected):
        found = inventory(created(node("n", gpus=offered, labels=labels))).nodes["n"]
        assert (found.gpu_type.name if found.gpu_type else None, found.gpu_count, found.mig) == expected

    def test_the_zone(self):
        labels = {"topology.kubernetes.io/region": "eu-1", "topology.kubernetes.io/zone": "eu-1b"}
        found = inventory(created(node("n", labels=labels))).nodes["n"]
        assert (found.region, found.zone) == ("eu-1", "eu-1b")

    def test_an_unknown_product_is_kept(self):
        found = inventory(created(node("n", labels={"nvidia.com/gpu.product": "Odd-9000"}))).nodes["n"]
        assert (found.gpu_type, found.gpu_product) == (None, "Odd-9000")


class TestRecordings:
    @pytest.mark.parametrize(
        ("text", "text_part"),
        [
            ("{", "is not valid JSON"),
            ("[]", "is not a Kubernetes List"),
            ('{"items": 3}', "is not a Kubernetes List"),
            ('{"items": [{"kind": "Node"}]}', "items[0]"),
            ('{"items": []}', "contains no Node"),
            ('{"items": [{"kind": "Job", "metadata": {"name": "j", "uid": "u"}}]}', "metadata.creationTimestamp"),
            ('{"items": [{"kind": "Namespace", "metadata": {"name": "n"}}]}', "contains no Node"),
        ],
    )
    def test_an_invalid_recording_is_an_error_that_names_the_file(self, tmp_path, text, text_part):
        path = tmp_path / "inventory.json"
        path.write_text(text)
        with pytest.raises(InputError) as error:
            RecordedObjects(path)
        assert text_part in str(error.value)
        assert "inventory.json" in error.value.problem

    def test_a_missing_file(self, tmp_path):
        with pytest.raises(InputError, match=r"cannot read .*inventory.json: No such file"):
            RecordedObjects(tmp_path / "inventory.json")

    def test_one_object_by_its_path(self, tmp_path):
        path = tmp_path / "inventory.json"
        path.write_text(json.dumps({"items": [created(node("n")), created(deployment("llm"))]}))
        recorded = RecordedObjects(path)
        assert recorded.get("/api/v1/nodes/n")["metadata"]["name"] == "n"
        assert recorded.get("/apis/apps/v1/namespaces/default/deployments/llm")["kind"] == "Deployment"
        with pytest.raises(Gone):
            recorded.get("/apis/apps/v1/namespaces/other/deployments/llm")
        with pytest.raises(Gone):
            recorded.list("/api/v1/secrets")


class TestOwnerCycles:
    """The API server does not prevent cycles of owner references."""

    def test_i32_an_object_that_owns_itself_is_left_out(self):
        itself = pod("odd", spec=pod_spec() | {"nodeName": "gpu-0"})
        found = inventory(owned(itself, created(itself)), created(deployment("sound")))
        assert [one.ref.name for one in found.workloads] == ["sound"]
        [unread] = found.unread
        assert unread.ref.name == "odd"
        assert "cycle" in unread.problem
        assert unread.nodes == {"gpu-0"}

    def test_i32_two_that_own_each_other(self):
        one, other = deployment("one"), deployment("other")
        found = inventory(owned(one, created(other)), owned(other, created(one)), created(deployment("sound")))
        assert [workload.ref.name for workload in found.workloads] == ["sound"]
        assert {unread.ref.name for unread in found.unread} == {"one", "other"}
