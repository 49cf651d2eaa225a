"""Physical cards are capacity, however a device plugin offers them; and the types of nodes without GPU discovery."""

import json

import pytest

from gpuwise.model.inventory import CapacityType, GpuRequest
from gpuwise.score.expected import running_pods
from gpuwise.sources.kubernetes.inventory import inventory_of
from gpuwise.sources.kubernetes.nodes import node_of
from gpuwise.sources.kubernetes.settings import InventorySettings

GKE = "cloud.google.com/gke-"
KARPENTER = "karpenter.k8s.aws/instance-gpu-"
A100 = {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB"}
INSTANCE = "node.kubernetes.io/instance-type"


def test_an_unhealthy_card_is_capacity_and_offered_to_nobody():
    item = with_units({}, {"nvidia.com/gpu": "7"})
    found = node_of(item | {"status": item["status"] | {"capacity": {"nvidia.com/gpu": "8"}}})
    assert (found.gpu_count, found.whole_gpus) == (8, 7)


def with_units(labels, units, annotations=None):
    metadata = {"name": "n1", "labels": labels, "annotations": annotations or {}}
    return {"kind": "Node", "metadata": metadata, "status": {"allocatable": units}}


def pod(name, limits, **spec):
    containers = [{"name": "main", "resources": {"limits": limits}}]
    metadata = {"name": name, "namespace": "ml", "uid": name, "creationTimestamp": "2026-01-01T00:00:00Z"}
    body = {"nodeName": "n1", "containers": containers} | spec
    return {"kind": "Pod", "metadata": metadata, "spec": body, "status": {"phase": "Running"}}


@pytest.mark.parametrize(
    ("labels", "units", "cards", "mig"),
    [
        # GKE: 2 cards of 4 clients each; 2 cards in 7 parts, and each part for 2 clients
        ({GKE + "max-shared-clients-per-gpu": "4"}, {"nvidia.com/gpu": "8"}, 2, {}),
        ({GKE + "accelerator": "nvidia-tesla-a100", GKE + "gpu-partition-size": "1g.5gb"}, {"nvidia.com/gpu": "14"}, 2,
         {"1g.5gb": 14}),
        ({GKE + "accelerator": "nvidia-tesla-a100", GKE + "gpu-partition-size": "1g.5gb",
          GKE + "max-shared-clients-per-gpu": "2"}, {"nvidia.com/gpu": "28"}, 2, {"1g.5gb": 14}),
        # the device plugin: time-slicing with and without renameByDefault, shared and extended MIG profiles
        ({"nvidia.com/gpu.replicas": "5"}, {"nvidia.com/gpu": "10"}, 2, {}),
        ({"nvidia.com/gpu.replicas": "5"}, {"nvidia.com/gpu": "0", "nvidia.com/gpu.shared": "10"}, 2, {}),
        (A100 | {"nvidia.com/gpu.replicas": "2"}, {"nvidia.com/mig-3g.40gb.shared": "4"}, 1, {"3g.40gb": 2}),
        (A100, {"nvidia.com/mig-1g.10gb.me": "1", "nvidia.com/mig-1g.10gb": "6"}, 1, {"1g.10gb": 6, "1g.10gb.me": 1}),
        (A100, {"nvidia.com/mig-1c.3g.40gb": "12"}, 2, {"1c.3g.40gb": 12}),
        # Volcano offers each card ten times, Alibaba names the number of cards
        ({}, {"nvidia.com/gpu": "0", "volcano.sh/vgpu-number": "80", "volcano.sh/vgpu-memory": "655360"}, 8, {}),
        ({}, {"aliyun.com/gpu-mem": "320", "aliyun.com/gpu-count": "4"}, 4, {}),
        # KubeVirt's permitted host devices
        ({}, {"nvidia.com/GA100_A100_PCIE_40GB": "2", "nvidia.com/hostdev": "8"}, 2, {}),
        ({}, {"nvidia.com/GH100_H100_SXM5": "8", "nvidia.com/GH100_H100_NVSWITCH": "4"}, 8, {}),
        # network devices under a name that their operator was given
        ({}, {"nvidia.com/gpu": "8", "nvidia.com/ibrail": "8"}, 8, {}),
        ({KARPENTER + "count": "8"}, {"nvidia.com/gpu": "80"}, 8, {}),
    ],
)  # fmt: skip
def test_cards_and_instances(labels, units, cards, mig):
    found = node_of(with_units(labels, units))
    assert found is not None
    assert (found.gpu_count, found.mig) == (cards, mig)


PRODUCT = "NVIDIA-NVIDIA A100-SXM4-80GB"
REGISTERED = "".join(f"{uuid},10,81920,100,{PRODUCT},0,true:" for uuid in ("GPU-a", "GPU-b"))
AS_JSON = json.dumps([{"id": uuid, "count": 10, "type": PRODUCT} for uuid in ("GPU-a", "GPU-b")])


@pytest.mark.parametrize("text", [REGISTERED, AS_JSON])
def test_hami_registers_its_cards_on_the_node(text):
    found = node_of(with_units({}, {"nvidia.com/gpu": "20"}, {"hami.io/node-nvidia-register": text}))
    assert (found.gpu_count, found.gpu_type.name) == (2, "A100-80GB")


def test_a_hami_node_without_its_register_is_split_by_hamis_default():
    items = {"Node": [with_units(A100, {"nvidia.com/gpu": "10"})], "Pod": [pod("a", {"nvidia.com/gpumem": "4k"})]}
    found = inventory_of(items, taken_s=0)
    assert found.nodes["n1"].gpu_count == 1
    assert [one.request for one in found.workloads] == [GpuRequest("nvidia.com/gpu", 1)]


@pytest.mark.parametrize(
    ("labels", "gpu"),
    [
        ({KARPENTER + "name": "a100", KARPENTER + "memory": "40960"}, "A100-40GB"),
        ({KARPENTER + "name": "a100", KARPENTER + "memory": "81920"}, "A100-80GB"),
        ({KARPENTER + "name": "l40s", KARPENTER + "memory": "45776"}, "L40S"),
        ({GKE + "accelerator": "nvidia-tesla-v100"}, "V100-16GB"),
        ({INSTANCE: "Standard_ND96isr_H100_v5", "kubernetes.azure.com/accelerator": "nvidia"}, "H100-80GB"),
        ({INSTANCE: "Standard_NC24ads_A100_v4"}, "A100-80GB"),
        ({INSTANCE: "p4d.24xlarge"}, "A100-40GB"),
        ({INSTANCE: "g6e.xlarge"}, "L40S"),
        ({INSTANCE: "a3-ultragpu-8g"}, "H200-141GB"),
        ({INSTANCE: "g6f.large"}, None),  # an eighth of an L4
        ({}, None),
    ],
)
def test_the_type_of_a_node_without_gpu_feature_discovery(labels, gpu):
    found = node_of(with_units(labels, {"nvidia.com/gpu": "8"}))
    assert (found.gpu_type.name if found.gpu_type else None) == gpu


@pytest.mark.parametrize(
    ("product", "gpu", "capacity"),
    [
        ("NVIDIA-L40S-12Q", "L40S", 0.25),
        ("NVIDIA-A100D-40C", "A100-80GB", 0.5),
        ("GRID-A100D-1-10C", "A100-80GB", 1 / 7),
        ("NVIDIA-L40S", "L40S", 1.0),
    ],
)
def test_a_vgpu_is_a_part_of_a_card(product, gpu, capacity):
    found = node_of(
        with_units({"nvidia.com/gpu.product": product, "nvidia.com/gpu.count": "1"}, {"nvidia.com/gpu": "1"})
    )
    assert (found.gpu_type.name, found.capacity) == (gpu, pytest.approx(capacity))


@pytest.mark.parametrize(
    ("limits", "request_"),
    [
        ({"volcano.sh/vgpu-number": "8"}, GpuRequest("volcano.sh/vgpu-number", 8)),
        ({"volcano.sh/vgpu-memory": "3k"}, GpuRequest("volcano.sh/vgpu-number", 1)),
        ({"aliyun.com/gpu-mem": "8"}, GpuRequest("aliyun.com/gpu-count", 1)),
        ({"nvidia.com/gpumem": "7k", "nvidia.com/gpucores": "30"}, GpuRequest("nvidia.com/gpu", 1)),
        ({"nvidia.com/gpumem-percentage": "50"}, GpuRequest("nvidia.com/gpu", 1)),
        ({"nvidia.com/mig-1c.3g.40gb": "1"}, GpuRequest("nvidia.com/mig-1c.3g.40gb", 1)),
        ({"nvidia.com/GA100_A100_PCIE_40GB": "2"}, GpuRequest("nvidia.com/GA100_A100_PCIE_40GB", 2)),
        ({"example.com/a100": "4"}, GpuRequest("example.com/a100", 4)),
    ],
)
def test_i30_a_pod_is_known_by_whatever_resource_it_asks_for(limits, request_):
    objects = {"Node": [with_units(A100, {"nvidia.com/gpu": "8"})], "Pod": [pod("a", limits)]}
    found = inventory_of(objects, taken_s=0, settings=InventorySettings(gpu_resources=("example.com/a100",)))
    assert [one.request for one in found.workloads] == [request_]


@pytest.mark.parametrize("name", ["amd.com/gpu", "nvidia.com/hostdev", "nvidia.com/priority", "cpu"])
def test_what_is_no_gpu_of_nvidia_is_no_workload(name):
    assert inventory_of({"Pod": [pod("a", {name: "1"})]}, taken_s=0).workloads == ()


def test_accelerators_of_other_vendors_are_named_as_not_measured():
    items = [with_units({}, {"amd.com/gpu": "8", "habana.ai/gaudi": "0", "gpu.intel.com/i915": "1"})]
    assert inventory_of({"Node": items}, taken_s=0).not_measured == {
        "amd.com/gpu": ("n1",),
        "gpu.intel.com/i915": ("n1",),
    }


def test_labels_of_the_cluster_give_the_capacity_type():
    settings = InventorySettings(capacity_labels={"pool:cheap": CapacityType.SPOT})
    found = node_of(with_units({"pool": "cheap"}, {"nvidia.com/gpu": "8"}), settings=settings)
    assert found.capacity_type is CapacityType.SPOT


@pytest.mark.parametrize(
    ("labels", "units", "limits", "fraction"),
    [
        (A100, {"nvidia.com/mig-1c.3g.40gb": "6"}, {"nvidia.com/mig-1c.3g.40gb": "1"}, 1 / 6),
        ({GKE + "accelerator": "nvidia-tesla-a100", GKE + "gpu-partition-size": "3g.20gb"}, {"nvidia.com/gpu": "2"},
         {"nvidia.com/gpu": "1"}, 1 / 2),
        (A100 | {"nvidia.com/gpu.replicas": "4"}, {"nvidia.com/gpu": "4"}, {"nvidia.com/gpu": "1"}, 1 / 4),
        ({"nvidia.com/gpu.product": "NVIDIA-L40S-12Q"}, {"nvidia.com/gpu": "1"}, {"nvidia.com/gpu": "1"}, 1 / 4),
    ],
)  # fmt: skip
def test_i27_a_device_that_does_not_report_counts_as_what_the_pod_has(labels, units, limits, fraction):
    found = inventory_of({"Node": [with_units(labels, units)], "Pod": [pod("a", limits)]}, taken_s=0)
    [workload] = found.workloads
    [one] = running_pods(workload, found)
    assert (one.devices, one.gpu_fraction) == (1, pytest.approx(fraction))
