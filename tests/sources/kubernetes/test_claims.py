"""GPUs that pods request with resource claims (resource.k8s.io)."""

import pytest

from gpuwise.model.inventory import ClaimedDevice, GpuRequest
from gpuwise.score.expected import running_pods
from gpuwise.sources.kubernetes.inventory import KubernetesInventory, inventory_of
from gpuwise.sources.kubernetes.listings import COLLECTIONS, OLDER_VERSIONS

PRODUCT = "NVIDIA A100-SXM4-80GB"


def made(kind, name, *, namespace="", **body):
    metadata = {"name": name, "uid": f"{kind}-{name}", "creationTimestamp": "2026-01-01T00:00:00Z"}
    return {"kind": kind, "metadata": metadata | ({"namespace": namespace} if namespace else {})} | body


NODE = made("Node", "n1", status={"allocatable": {"cpu": "96"}})


def gpu(number, **attributes):
    text = {"type": "gpu", "uuid": f"GPU-{number}", "productName": PRODUCT, "pcieBusID": f"0000:{number}"} | attributes
    return {"name": f"gpu-{number}", "attributes": {key: {"string": value} for key, value in text.items()}}


def mig(number, profile, start):
    card = gpu(number, type="mig", uuid=f"MIG-{number}-{start}", parentUUID=f"GPU-{number}", profile=profile)
    return card | {"name": f"gpu-{number}-mig-{profile.replace('.', '')}-19-{start}"}


def device_slice(*devices, driver="gpu.nvidia.com", node="n1", generation=1, name="slice"):
    pool = {"name": node, "generation": generation, "resourceSliceCount": 1}
    return made(
        "ResourceSlice", name, spec={"driver": driver, "nodeName": node, "pool": pool, "devices": list(devices)}
    )


def result(device, driver="gpu.nvidia.com", **more):
    return {"request": "r", "driver": driver, "pool": "n1", "device": device} | more


def claim(name, *results, users=(), requests=()):
    status = {"reservedFor": [{"resource": "pods", "name": user, "uid": f"Pod-{user}"} for user in users]}
    status |= {"allocation": {"devices": {"results": list(results)}}} if results else {}
    return made("ResourceClaim", name, namespace="ml", spec={"devices": {"requests": list(requests)}}, status=status)


def template(name, *requests):
    return made("ResourceClaimTemplate", name, namespace="ml", spec={"spec": {"devices": {"requests": list(requests)}}})


def pod(name, *references, node="n1", statuses=()):
    spec = {"containers": [{"name": "main"}], "resourceClaims": list(references)} | ({"nodeName": node} if node else {})
    status = {"phase": "Running" if node else "Pending", "resourceClaimStatuses": list(statuses)}
    return made("Pod", name, namespace="ml", spec=spec, status=status)


def shared(name="c"):
    return {"name": "gpu", "resourceClaimName": name}


def inventory(*items):
    objects = {}
    for item in items:
        objects.setdefault(item["kind"], []).append(item)
    return inventory_of(objects, taken_s=0)


def only(*items):
    found = inventory(NODE, *items)
    assert not found.unread
    [workload] = found.workloads
    return workload


def v1beta1(item):
    """The same slice as resource.k8s.io/v1beta1 has it: the parts of a device are under "basic"."""
    devices = [{"name": one["name"], "basic": {"attributes": one["attributes"]}} for one in item["spec"]["devices"]]
    return item | {"spec": item["spec"] | {"devices": devices}}


@pytest.mark.parametrize("version", [lambda item: item, v1beta1])
def test_a_claim_names_the_devices_of_its_pod(version):
    offered = version(device_slice(gpu(0), gpu(1)))
    workload = only(offered, claim("c", result("gpu-0"), result("gpu-1"), users=["a"]), pod("a", shared()))
    assert workload.request == GpuRequest("gpu.nvidia.com", 2)
    assert workload.pods[0].claimed == (ClaimedDevice("GPU-0"), ClaimedDevice("GPU-1"))


def test_a_claim_from_a_template_is_found_by_the_pods_status():
    reference = {"name": "gpu", "resourceClaimTemplateName": "one"}
    statuses = [{"name": "gpu", "resourceClaimName": "a-gpu-x"}]
    workload = only(
        device_slice(gpu(0)), claim("a-gpu-x", result("gpu-0"), users=["a"]), pod("a", reference, statuses=statuses)
    )
    assert workload.request == GpuRequest("gpu.nvidia.com", 1)


def test_an_extended_resource_that_a_claim_satisfies_counts_once():
    one = pod("a")
    one["spec"]["containers"] = [{"name": "main", "resources": {"limits": {"nvidia.com/gpu": "1"}}}]
    one["status"]["extendedResourceClaimStatus"] = {"resourceClaimName": "c"}
    workload = only(device_slice(gpu(0)), claim("c", result("gpu-0"), users=["a"]), one)
    assert workload.request == GpuRequest("nvidia.com/gpu", 1)
    assert workload.pods[0].claimed == (ClaimedDevice("GPU-0"),)


CLASS = made(
    "DeviceClass",
    "a100",
    spec={
        "extendedResourceName": "example.com/a100",
        "selectors": [{"cel": {"expression": "device.driver == 'gpu.nvidia.com'"}}],
    },
)


@pytest.mark.parametrize(
    ("name", "request_", "unknown"),
    [
        ("deviceclass.resource.kubernetes.io/gpu.nvidia.com", GpuRequest("gpu.nvidia.com", 2), ""),
        ("deviceclass.resource.kubernetes.io/mig.nvidia.com", GpuRequest("mig.nvidia.com", 2), ""),
        ("example.com/a100", GpuRequest("gpu.nvidia.com", 2), ""),
        ("deviceclass.resource.kubernetes.io/other", None, "device class other is not known"),
    ],
)
def test_i30_a_resource_that_a_device_class_stands_for_is_a_request(name, request_, unknown):
    one = pod("a")
    one["spec"]["containers"] = [{"name": "main", "resources": {"limits": {name: "2"}}}]
    workload = only(CLASS, one)
    assert (workload.request, unknown in workload.unknown_request) == (request_, True)


def test_a_resource_of_a_device_class_without_gpus_is_no_request():
    network = made(
        "DeviceClass",
        "nic",
        spec={
            "extendedResourceName": "example.com/nic",
            "selectors": [{"cel": {"expression": "device.driver == 'dra.net'"}}],
        },
    )
    one = pod("a")
    one["spec"]["containers"] = [{"name": "main", "resources": {"limits": {"example.com/nic": "1", "cpu": "1"}}}]
    assert inventory(NODE, network, one).workloads == ()


class OlderCluster:
    """Serves resource claims under one older version only."""

    def __init__(self, version, *items):
        self._version, self._items = version, items

    def list(self, path):
        return [item for item in (NODE, *self._items) if path in COLLECTIONS.get(item["kind"], "")]

    def list_optional(self, path):
        kinds = {one: kind for kind, paths in OLDER_VERSIONS.items() for one in paths if self._version in one}
        return [item for item in self._items if item["kind"] == kinds.get(path)]


@pytest.mark.parametrize("version", ["v1beta1", "v1beta2"])
def test_older_versions_of_the_api_are_read(version):
    items = device_slice(gpu(0)), claim("c", result("gpu-0"), users=["a"]), pod("a", shared())
    [workload] = KubernetesInventory(OlderCluster(f"/{version}/", *items)).snapshot(0).workloads
    assert workload.request == GpuRequest("gpu.nvidia.com", 1)


def test_i30_a_version_that_is_not_known_makes_the_pod_unknown():
    items = device_slice(gpu(0)), claim("c", result("gpu-0"), users=["a"]), pod("a", shared())
    [workload] = KubernetesInventory(OlderCluster("/v9/", *items)).snapshot(0).workloads
    assert "ResourceClaim c was not found" in workload.unknown_request


def test_a_mig_instance_counts_as_its_part_of_the_card():
    items = device_slice(mig(0, "3g.40gb", 4)), claim("c", result("gpu-0-mig-3g40gb-19-4"), users=["a"])
    found = inventory(NODE, *items, pod("a", shared()))
    [workload] = found.workloads
    assert workload.request == GpuRequest("mig.nvidia.com", 1)
    assert workload.pods[0].claimed == (ClaimedDevice("MIG-0-4", "3g.40gb"),)
    assert [(one.devices, one.gpu_fraction) for one in running_pods(workload, found)] == [(1, 0.5)]


def test_a_shared_claim_counts_its_device_once():
    items = device_slice(gpu(0)), claim("c", result("gpu-0"), users=["a", "b"])
    found = inventory(NODE, *items, pod("a", shared()), pod("b", shared()))
    expected = [one for workload in found.workloads for one in running_pods(workload, found)]
    assert sum(one.devices * one.gpu_fraction for one in expected) == 1.0


def test_two_claims_that_share_a_device_split_it():
    """Consumable capacity (KEP-5075): several claims have the same device."""
    items = device_slice(gpu(0)), claim("c", result("gpu-0"), users=["a"]), claim("d", result("gpu-0"), users=["b"])
    found = inventory(NODE, *items, pod("a", shared("c")), pod("b", shared("d")))
    expected = [one for workload in found.workloads for one in running_pods(workload, found)]
    assert sum(one.devices * one.gpu_fraction for one in expected) == 1.0


def test_admin_access_reserves_nothing():
    items = device_slice(gpu(0)), claim("c", result("gpu-0", adminAccess=True), users=["monitor"])
    assert inventory(NODE, *items, pod("monitor", shared())).workloads == ()


EXACTLY = [{"name": "r", "exactly": {"deviceClassName": "gpu.nvidia.com", "count": 4}}]
ALL = {"deviceClassName": "gpu.nvidia.com", "allocationMode": "All"}
FLAT = [{"name": "r", "deviceClassName": "gpu.nvidia.com", "count": 4}]  # v1beta1


@pytest.mark.parametrize("requests", [EXACTLY, FLAT])
def test_a_template_says_what_replicas_request_before_a_device_is_allocated(requests):
    spec = {"containers": [], "resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "four"}]}
    body = {"replicas": 0, "template": {"spec": spec}}
    workload = only(template("four", *requests), made("Deployment", "d", namespace="ml", spec=body))
    assert workload.request == GpuRequest("gpu.nvidia.com", 4)
    assert workload.unknown_request == ""


def test_a_class_of_the_cluster_is_known_by_the_driver_that_it_selects():
    cel = {"expression": "device.driver == 'gpu.nvidia.com' && device.attributes['gpu.nvidia.com'].type == 'mig'"}
    own = made("DeviceClass", "small", spec={"selectors": [{"cel": cel}]})
    requested = claim("c", requests=[{"name": "r", "exactly": {"deviceClassName": "small"}}])
    assert only(own, requested, pod("a", shared(), node=None)).request == GpuRequest("mig.nvidia.com", 1)


@pytest.mark.parametrize(
    ("items", "why"),
    [
        ([], "ResourceClaim c was not found"),
        ([claim("c", result("x", driver="gpu.example.com"))], "driver gpu.example.com"),
        ([claim("c", requests=[{"name": "r", "exactly": {"deviceClassName": "fast"}}])], "class fast"),
        ([claim("c", requests=[{"name": "r", "exactly": ALL}])], "all devices"),
    ],
)
def test_i30_what_is_not_known_makes_the_pod_unknown_and_never_empty(items, why):
    workload = only(*items, pod("a", shared()))
    assert workload.request is None
    assert why in workload.unknown_request
    assert [one.node for one in workload.pods] == ["n1"]


@pytest.mark.parametrize("driver", ["compute-domain.nvidia.com", "dra.net", "gpu.amd.com"])
def test_devices_that_are_no_gpus_of_nvidia_are_not_counted(driver):
    assert inventory(NODE, claim("c", result("x", driver=driver)), pod("a", shared())).workloads == ()


def test_a_node_without_a_device_plugin_has_the_cards_of_its_slices():
    old = device_slice(*(gpu(number) for number in range(8)), generation=1, name="old")
    new = device_slice(gpu(0), gpu(1), mig(1, "1g.10gb", 0), generation=2, name="new")
    node = inventory(NODE, old, new).nodes["n1"]
    assert (node.gpu_count, node.claimable, node.whole_gpus) == (2, 2, 0)
    assert node.gpu_type is not None
    assert node.gpu_type.name == "A100-80GB"


def test_i32_a_slice_or_claim_that_cannot_be_read_costs_only_itself():
    broken = made("ResourceSlice", "odd", spec={"driver": "gpu.nvidia.com", "pool": {}})
    odd = made("ResourceClaim", "odd", namespace="ml", spec={}, status={"allocation": {"devices": {"results": [{}]}}})
    good = device_slice(gpu(0)), claim("c", result("gpu-0"), users=["a"])
    found = inventory(NODE, broken, odd, *good, pod("a", shared()))
    assert {one.ref.kind for one in found.unread} == {"ResourceSlice", "ResourceClaim"}
    assert [workload.request for workload in found.workloads] == [GpuRequest("gpu.nvidia.com", 1)]
