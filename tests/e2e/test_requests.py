"""Every way to ask for a GPU, from the cluster's objects to the bill: cards count once, and pods are known (I30)."""

import numpy as np
import pytest
from tests.series import BUSY_VALUES

from gpuwise.model.usage import DeviceSeries, RecordedPod, Window
from gpuwise.sources.recording import RecordingWriter

NOW_S = 1_780_272_000
HOURS = 48
WINDOW = Window(NOW_S - HOURS * 3_600, NOW_S, 300)
A100 = {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB"}
PLACE = {
    "karpenter.sh/capacity-type": "on-demand",
    "topology.kubernetes.io/region": "eu-1",
    "topology.kubernetes.io/zone": "eu-1a",
}


def made(kind, name, *, namespace="", labels=None, **body):
    metadata = {"name": name, "uid": f"{kind}-{name}", "creationTimestamp": "2026-05-01T00:00:00Z"}
    metadata |= {"labels": labels or {}} | ({"namespace": namespace} if namespace else {})
    return {"kind": kind, "metadata": metadata} | body


def pod(limits=None, **spec):
    containers = [{"name": "main", "resources": {"limits": limits or {}}}]
    status = {"phase": "Running", "startTime": "2026-05-01T00:00:00Z", "conditions": []}
    return made("Pod", "a", namespace="ml", spec={"nodeName": "n1", "containers": containers} | spec, status=status)


def scan(gpuwise, folder, labels, units, *items, gpu="A100-80GB", devices=1, fraction=1.0):
    """Scan two days in which the pod's devices were busy."""
    node = made("Node", "n1", labels=PLACE | labels, status={"allocatable": {"cpu": "96"} | units})
    writer = RecordingWriter(folder / "recording")
    writer.write_objects([node, made("Namespace", "ml"), *items])
    samples = {signal: np.full(WINDOW.steps, value) for signal, value in BUSY_VALUES.items()}
    rows = tuple(DeviceSeries("a", f"GPU-{i}", fraction, gpu, "n1", samples) for i in range(devices))
    writer.append(RecordedPod("ml", WINDOW, rows, None))
    options = ("--recording", folder / "recording", "--look-back-h", HOURS, "--now", NOW_S, "-q", "-o", "json")
    return gpuwise("scan", *options).data


def hours(found):
    return {
        name.removesuffix("_gpu_s"): round(found["bill"][name] / 3600) for name in found["bill"] if "_gpu_s" in name
    }


@pytest.mark.parametrize(
    ("labels", "units", "limits", "rows", "expected"),
    [
        ({"cloud.google.com/gke-accelerator": "nvidia-tesla-a100", "cloud.google.com/gke-gpu-partition-size": "1g.5gb"},
         {"nvidia.com/gpu": "7"}, {"nvidia.com/gpu": "1"}, ("A100-40GB", 1, 1 / 7), (48, 7)),
        ({"cloud.google.com/gke-accelerator": "nvidia-tesla-t4",
          "cloud.google.com/gke-max-shared-clients-per-gpu": "4"},
         {"nvidia.com/gpu": "4"}, {"nvidia.com/gpu": "1"}, ("T4", 1, 1.0), (48, 48)),
        (A100, {"nvidia.com/gpu": "10"}, {"nvidia.com/gpu": "1", "nvidia.com/gpucores": "30"}, ("A100-80GB", 1, 1.0),
         (48, 48)),
        (A100, {"nvidia.com/gpu": "0", "volcano.sh/vgpu-number": "80"}, {"volcano.sh/vgpu-number": "8"},
         ("A100-80GB", 8, 1.0), (384, 384)),
        ({"nvidia.com/gpu.product": "NVIDIA-L40S-12Q", "nvidia.com/gpu.count": "1"}, {"nvidia.com/gpu": "1"},
         {"nvidia.com/gpu": "1"}, ("L40S", 1, 1 / 4), (12, 12)),
        (A100, {"nvidia.com/mig-1c.3g.40gb": "6"}, {"nvidia.com/mig-1c.3g.40gb": "1"}, ("A100-80GB", 1, 1 / 6),
         (48, 8)),
        ({"kubernetes.azure.com/accelerator": "nvidia"}, {"nvidia.com/gpu": "8"}, {"nvidia.com/gpu": "8"},
         ("H100-80GB", 8, 1.0), (384, 384)),
    ],
    ids=["gke-mig", "gke-shared", "hami", "volcano", "vgpu", "compute-instance", "no-labels"],
)  # fmt: skip
def test_i30_cards_are_capacity_once(gpuwise, tmp_path, labels, units, limits, rows, expected):
    gpu, devices, fraction = rows
    found = hours(scan(gpuwise, tmp_path, labels, units, pod(limits), gpu=gpu, devices=devices, fraction=fraction))
    assert (found["capacity"], found["used"], found["unpriced"]) == (*expected, 0)


@pytest.mark.parametrize(
    "body",
    [
        {"resourceClaims": [{"name": "g", "resourceClaimTemplateName": "eight"}]},
        {"limits": {"nvidia.com/GA100_A100_PCIE_40GB": "8"}},
        {"limits": {"aliyun.com/gpu-mem": "640"}},
    ],
    ids=["resource-claim", "kubevirt", "aliyun"],
)
def test_i30_incident_karpenter_1231_and_dcgm_exporter_501_a_node_whose_pods_ask_in_another_way_is_not_empty(
    gpuwise, tmp_path, body
):
    labels = A100 | {"nvidia.com/gpu.count": "8"}
    found = scan(gpuwise, tmp_path, labels, {"nvidia.com/gpu": "0"}, pod(**body), devices=8)
    assert [one["workload"] for one in found["workloads"]] == ["ml/Pod/a"]
    assert found["recommendations"] == []
    assert hours(found)["used"] == hours(found)["capacity"] == 384


def test_a_claims_devices_are_the_capacity_of_a_node_without_a_device_plugin(gpuwise, tmp_path):
    text = {"type": "gpu", "productName": "NVIDIA A100-SXM4-80GB"}
    offered = [
        {"name": f"gpu-{i}", "attributes": {k: {"string": v} for k, v in (text | {"uuid": f"GPU-{i}"}).items()}}
        for i in range(8)
    ]
    spec = {"driver": "gpu.nvidia.com", "nodeName": "n1", "pool": {"name": "n1", "generation": 1}, "devices": offered}
    results = [{"request": "r", "driver": "gpu.nvidia.com", "pool": "n1", "device": f"gpu-{i}"} for i in range(8)]
    users = [{"resource": "pods", "name": "a", "uid": "Pod-a"}]
    status = {"allocation": {"devices": {"results": results}}, "reservedFor": users}
    claim = made("ResourceClaim", "c", namespace="ml", spec={}, status=status)
    one = pod(resourceClaims=[{"name": "g", "resourceClaimName": "c"}])
    found = scan(gpuwise, tmp_path, {}, {}, made("ResourceSlice", "s", spec=spec), claim, one, devices=8)
    assert (hours(found)["capacity"], hours(found)["used"]) == (384, 384)
    assert found["recommendations"] == []
